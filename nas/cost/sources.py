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
    "rtl": ("arith", "control", "isa", "lib", "matmul", "memory", "vector", "engine.py"),
    "compiler": ("compiler", "timing"),
}
"""Under ``rtl/``: what a hash covers. An engine's sizes have a hash of their own."""
MODELS = (  # what coefficients are for
    "coefficients.py", "cutting.py", "latency.py", "phases.py", "sizes.py", "timeline.py",
    "weight_blocks.py",
)  # fmt: skip
RESOURCES = ("resources", "build/synthesis.py")


@cache
def source_hashes() -> dict[str, str]:
    """Hash by part, 16 digits each.

    ``rtl``, ``compiler``, ``model`` (the vectorised latency model), ``resources`` (their model, and
    what Yosys does).
    """
    hashes = {part: _hash(_files(patterns)) for part, patterns in PARTS.items()}
    models = {"model": _hash(COST / name for name in MODELS), "resources": _hash(_files(RESOURCES))}
    return hashes | models


def _files(patterns: Iterable[str]) -> Iterable[Path]:
    for pattern in patterns:
        place = RTL / pattern
        yield from [place] if place.is_file() else place.rglob("*.py")


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
