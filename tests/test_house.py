"""The house stays legible: sizes, names, prose, and a test module beside each module."""

import ast
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("boards", "rtl", "sim", "nas")
MOST_LINES = 420
MOST_ELABORATE = 60
SMALL = 40  # lines up to which a module needs no test module of its own

TESTED_ELSEWHERE = {
    # An interface: its defaults are what the driver uses on a model.
    "boards/host/transport.py": "tests/boards/host/test_accelerator.py",
    # Commands' front ends, with the command.
    "rtl/compiler/__main__.py": "tests/rtl/compiler/test_command.py",
    "rtl/build/tables.py": "tests/rtl/build/test_build.py",
    # Parts of a netlist's graph, which mean something together alone.
    "rtl/build/netlist/cells.py": "tests/rtl/build/netlist/test_levels.py",
    "rtl/build/netlist/module.py": "tests/rtl/build/netlist/test_levels.py",
    # A bench takes these together: what one says to the other is what can go wrong.
    "rtl/control/decode.py": "tests/rtl/control/test_fetch.py",
    "rtl/control/unit.py": "tests/rtl/test_engine.py",
    "rtl/memory/clients.py": "tests/rtl/memory/test_axi.py",
    "rtl/memory/dma.py": "tests/rtl/memory/test_axi.py",
    "rtl/memory/reader.py": "tests/rtl/memory/test_axi.py",
    "rtl/memory/writer.py": "tests/rtl/memory/test_axi.py",
    "rtl/memory/load/check.py": "tests/rtl/memory/load/test_unit.py",
    "rtl/memory/load/cut.py": "tests/rtl/memory/load/test_unit.py",
    "rtl/memory/load/loaders.py": "tests/rtl/memory/load/test_unit.py",
    "rtl/memory/scratchpads/activations.py": "tests/rtl/memory/scratchpads/test_scratchpad.py",
    "rtl/memory/scratchpads/attention.py": "tests/rtl/memory/scratchpads/test_scratchpad.py",
    "rtl/memory/scratchpads/loaded.py": "tests/rtl/memory/scratchpads/test_scratchpad.py",
    "rtl/memory/scratchpads/residual.py": "tests/rtl/memory/scratchpads/test_scratchpad.py",
    # Stages of the bridge, which its pins tell apart.
    "rtl/soc/answers.py": "tests/rtl/soc/test_bridge.py",
    "rtl/soc/blocks.py": "tests/rtl/soc/test_bridge.py",
    "rtl/soc/requests.py": "tests/rtl/soc/test_bridge.py",
    # The other half of the interleaver, on the same traffic.
    "rtl/soc/narrowing.py": "tests/rtl/soc/test_interleaver.py",
    # Signatures and layouts: every unit's bench speaks them.
    "rtl/isa/layouts.py": "tests/rtl/isa/test_instructions.py",
    "rtl/isa/unit_port.py": "tests/rtl/matmul/test_unit.py",
    "rtl/memory/ports.py": "tests/rtl/memory/scratchpads/test_scratchpad.py",
    # What runs inside a simulation.
    "sim/benches/host.py": "tests/rtl/test_engine.py",
    "sim/benches/pins.py": "tests/sim/pins/test_line.py",
    "sim/remote.py": "tests/sim/test_device.py",
    "nas/cost/hardware.py": "tests/nas/cost/test_estimate.py",
}
"""Modules without a test module of their own, and the one that tests them, by the reason."""


def tracked() -> list[Path]:
    """List the Python files of the repository, or of the folder where there is no repository."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        files = [ROOT / name for name in listed.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        files = [file for folder in (*PACKAGES, "tests") for file in (ROOT / folder).rglob("*.py")]
    return sorted(file for file in files if file.is_file())


FILES = tracked()
SOURCE = [file for file in FILES if file.relative_to(ROOT).parts[0] in PACKAGES]


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def lines_of(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for file in SOURCE:
        yield file, ast.parse(file.read_text(encoding="utf-8"))


def test_no_file_is_longer_than_one_can_read():
    assert [f"{name_of(f)}: {lines_of(f)}" for f in FILES if lines_of(f) > MOST_LINES] == []


def test_no_elaborate_is_longer_than_a_screen():
    long = [
        f"{name_of(file)}:{node.lineno}"
        for file, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and node.name == "elaborate"
        and (node.end_lineno or 0) - node.lineno >= MOST_ELABORATE
    ]
    assert long == []


def test_a_class_name_means_one_thing():
    places = defaultdict(list)
    for file, tree in trees():
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name_of(file))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_docstrings_start_with_a_noun_or_a_verb():
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    starting = [
        f"{name_of(file)}:{getattr(node, 'lineno', 1)}"
        for file, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, documented)
        and re.match(r"(What|Where|Whose|Of|How|Who|When)\b", ast.get_docstring(node) or "")
    ]
    assert starting == []


def has_code(tree: ast.Module) -> bool:
    return any(isinstance(n, (ast.ClassDef, ast.FunctionDef)) for n in tree.body)


def mirror_of(file: Path) -> Path:
    """Find where a module's tests lie: tests/rtl/lib/test_skid.py of rtl/lib/skid.py."""
    inside = file.relative_to(ROOT)
    stem = inside.parent.name if inside.stem == "__main__" else inside.stem
    return ROOT / "tests" / inside.parent / f"test_{stem}.py"


TESTED = [
    file
    for file in SOURCE
    if file.name != "__init__.py"
    and lines_of(file) > SMALL
    and has_code(ast.parse(file.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize("file", TESTED, ids=name_of)
def test_tests_mirror_the_source(file):
    assert mirror_of(file).is_file() or name_of(file) in TESTED_ELSEWHERE


def test_reasons_are_true():
    needed = {name_of(file) for file in TESTED if not mirror_of(file).is_file()}
    assert set(TESTED_ELSEWHERE) <= needed
    assert [test for test in TESTED_ELSEWHERE.values() if not (ROOT / test).is_file()] == []
