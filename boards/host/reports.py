"""Reports as JSON files that are there whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from boards.host.errors import UserError


def require_place(path: Path | None, inputs: Sequence[Path | str] = ()) -> None:
    """Check before long work that a report can be written after it.

    Parameters
    ----------
    path : Path, optional
    inputs : sequence of Path or str
        Files that the program reads.

    Raises
    ------
    UserError
        If its folder is missing or cannot be written to, or the path is a folder or an input.
    """
    if path is None:
        return
    place = os.path.realpath(path)
    if any(place == os.path.realpath(each) for each in inputs):
        raise UserError(f"{path} cannot be written: the program reads this file itself")
    folder = path.parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UserError(f"{path}: cannot be written: it takes a folder that is there and writable")


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write a report beside ``path`` and put it there when it is whole."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps(report, indent=2) + "\n")
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        if temporary.exists():
            temporary.unlink()
