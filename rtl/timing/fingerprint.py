"""Fingerprint of the compiler and the timing model, for whoever keeps predicted cycles."""

import ast
from functools import cache
from pathlib import Path

from rtl.files import sha256_of

RTL = Path(__file__).parents[1]
COVERED = ("compiler", "config.py", "isa", "model", "timing")  # files and folders of rtl


@cache
def fingerprint() -> str:
    """Hash of the source that decides a network's program and its cycles: 16 digits.

    Comments, docstrings and layout do not count. Pipeline constants that come from the RTL are
    not part of it: hash an engine's :class:`rtl.timing.UnitLatencies` beside it.
    """
    places = [RTL / name for name in COVERED]
    files = [file for place in places for file in ([place] if place.is_file() else _below(place))]
    return source_hash(files)


def _below(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def source_hash(files: list[Path]) -> str:
    """Hash of what the code of some files does, and of their names: 16 digits."""
    parts = ((file.name, _code(file.read_text(encoding="utf-8"))) for file in files)
    return sha256_of(*(text for part in parts for text in part))[:16]


def _code(source: str) -> str:
    """Syntax tree of the source, without docstrings and positions."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [line for line in body if not _is_text(line)]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
