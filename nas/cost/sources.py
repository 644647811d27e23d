"""Hashes of the code that a calibration's figures depend on.

Comments, docstrings and layout don't count, so only a change of what the code does makes a
calibration stale.
"""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import rtl

RTL, COST = Path(rtl.__file__).parent, Path(__file__).parent
PARTS = {
    "rtl": ("arith", "attention", "control", "matmul", "memory", "vector", "*.py"),
    "compiler": ("compiler",),
}
"""Under ``rtl/``: what a hash covers. An engine's sizes have a hash of their own."""
NOT_HARDWARE = {  # of the files beside the hardware's folders: they do not change what it is
    "build.py", "build_tables.py", "cli.py", "config.py", "errors.py", "files.py", "image.py",
    "model.py", "model_file.py", "model_parts.py", "shape.py", "synthesis.py",
}  # fmt: skip
MODELS = (  # what coefficients are for
    "coefficients.py", "cutting.py", "latency.py", "phases.py", "sizes.py", "timeline.py",
    "weight_blocks.py",
)  # fmt: skip
RESOURCES = ("block_memory.py", "dsps.py", "memories.py", "resources.py", "structure.py")


@cache
def source_hashes() -> dict[str, str]:
    """Hash by part, 16 digits each.

    ``rtl``, ``compiler``, ``model`` (the vectorised latency model), ``resources`` (their model, and
    what Yosys does).
    """
    hashes = {part: _hash(_files(patterns)) for part, patterns in PARTS.items()}
    counting = [RTL / "synthesis.py", *(COST / name for name in RESOURCES)]
    return hashes | {"model": _hash(COST / name for name in MODELS), "resources": _hash(counting)}


def _files(patterns: Iterable[str]) -> Iterable[Path]:
    for pattern in patterns:
        found = RTL.glob(pattern) if "*" in pattern else (RTL / pattern).rglob("*.py")
        yield from (file for file in found if file.name not in NOT_HARDWARE)


def _hash(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.name.encode() + b"\0" + _meaning(file).encode() + b"\0")
    return digest.hexdigest()[:16]


def _meaning(file: Path) -> str:
    """The code without comments and docstrings, in one layout."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [line for line in body if not _is_text(line)] or [ast.Pass()]
    return ast.unparse(tree)


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
