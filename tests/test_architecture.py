"""The plan of the house: who imports whom, and that rtl, sim and boards need no torch."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAY_IMPORT = {
    "rtl": {"rtl", "boards"},
    "boards": {"boards"},
    "sim": {"sim", "rtl", "boards"},
    "nas": {"nas", "sim", "rtl", "boards"},
}
"""Imports flow one way. Nobody imports ``tests``."""

OURS = {*MAY_IMPORT, "tests"}

MODULES = sorted(
    file
    for package in MAY_IMPORT
    for file in (ROOT / package).rglob("*.py")
    if "__pycache__" not in file.parts
)


def dotted_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_packages(tree: ast.AST) -> Iterator[str]:
    """Yield the first part of every absolute import, wherever in the module it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("file", MODULES, ids=dotted_name)
def test_imports_flow_one_way(file):
    package = file.relative_to(ROOT).parts[0]
    imported = set(imported_packages(ast.parse(file.read_text(encoding="utf-8")))) & OURS
    assert imported <= MAY_IMPORT[package]


BY_NAME = {dotted_name(file): file for file in MODULES}


def imported_modules(file: Path) -> set[str]:
    """Name the modules of ours that a module imports; of a package's names, the package itself."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            inside = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            found |= {full if full in BY_NAME else node.module for full in inside.values()}
    return found & BY_NAME.keys() - {dotted_name(file)}


IMPORTS = {name: imported_modules(file) for name, file in BY_NAME.items()}


def room_of(name: str) -> str:
    """Name the room of a module: rtl.matmul, sim.golden; a command or a loose file is its own."""
    file = BY_NAME[name]
    parts = file.relative_to(ROOT).parts[:-1]
    return name if file.name == "__main__.py" or len(parts) < 2 else ".".join(parts[:2])


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """Find a cycle of a graph, its first node twice; empty where there is none."""
    state: dict[str, int] = {}
    path: list[str] = []

    def visit(node: str) -> list[str]:
        state[node] = 1
        path.append(node)
        for following in sorted(graph.get(node, ())):
            if state.get(following) == 1:
                return [*path[path.index(following) :], following]
            if following not in state and (found := visit(following)):
                return found
        state[node] = 2
        path.pop()
        return []

    return next(
        (found for node in sorted(graph) if node not in state and (found := visit(node))), []
    )


def test_rooms_import_each_other_in_one_direction():
    rooms: dict[str, set[str]] = {}
    for name, imported in IMPORTS.items():
        others = {room_of(other) for other in imported} - {room_of(name)}
        rooms.setdefault(room_of(name), set()).update(others)
    assert cycle(rooms) == []


def test_modules_have_no_cycle():
    assert cycle(IMPORTS) == []


def test_a_cycle_would_be_found():
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert cycle({"a": {"b", "c"}, "b": {"c"}}) == []


@pytest.mark.parametrize("file", MODULES, ids=dotted_name)
def test_every_module_says_what_it_is(file):
    assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))


def test_the_search_finds_modules():
    assert {"rtl.cli", "sim.toolchain", "boards"} <= set(map(dotted_name, MODULES))


IMPORT_WITHOUT_TORCH = """
import importlib, importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision", "timm", "pymoo", "nas"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
for name in sys.argv[1:]:
    importlib.import_module(name)
print("imported", len(sys.argv) - 1)
"""


def test_rtl_sim_and_boards_work_without_torch():
    names = [name for name in map(dotted_name, MODULES) if not name.startswith("nas")]
    result = subprocess.run(
        [sys.executable, "-c", IMPORT_WITHOUT_TORCH, *names],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.stdout == f"imported {len(names)}\n", result.stderr


WITHOUT_TORCH = """
import importlib.abc, runpy, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision", "timm"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("model", "code", "said"),
    [(str(ROOT / "examples" / "digits.pulsar"), 0, ""), ("deit_tiny", 2, "Python package 'timm'")],
)
@pytest.mark.parametrize("arguments", [("nas.fit",), ("nas.explain", "--fps", "9")])
def test_a_model_file_is_costed_without_torch(arguments, model, code, said):
    """timm and torch are there for the names of timm's models alone."""
    module, *options = arguments
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, module, model, "--board", "sim", *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (result.returncode, said in result.stderr) == (code, True), result.stderr


def test_the_block_on_torch_is_real():
    script = [sys.executable, "-c", IMPORT_WITHOUT_TORCH, "torch"]
    result = subprocess.run(script, capture_output=True, text=True)
    assert "No module named 'torch'" in result.stderr
