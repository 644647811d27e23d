"""Runs of ``python -m nas.train`` in this process."""

from pathlib import Path

from nas.train.__main__ import main
from rtl.cli import command

PROG = "python -m nas.train"


def train(out: Path, *arguments: str) -> int:
    """Run the command; return its exit code."""
    return command(main, prog=PROG, args=["--out", str(out), *arguments])
