"""Short runs of the search that the tests of nas.search share: training is real but tiny.

The RTL is left out (``--images 0``): whole networks on the RTL are tested in tests/sim.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from nas.cost import ExactCosts
from nas.search.__main__ import main
from nas.search.options import SearchOptions
from nas.search.setup import SearchSetup, prepare
from rtl.cli import command

ROOT = Path(__file__).parents[3]
PROG = "python -m nas.search"
QUICK = (
    "--quick", "--images", "0", "--targets", "9500", "28000",
    "--generations", "1", "--population", "4",
)  # fmt: skip
RATES = (9500, 28000)
VARYING = ("wall_s", "costing_s", "versions")


def run(out: Path, *arguments: str) -> int:
    """Run the command in this process; return its exit code."""
    return command(main, prog=PROG, args=["--out", str(out), *QUICK, *arguments])


def prepared(options: SearchOptions) -> SearchSetup:
    (setup,) = prepare(options, ExactCosts(), Console(quiet=True))
    return setup


def start(out: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "nas.search", "--out", str(out), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )


def comparable(folder: Path) -> dict:
    """Return the part of a summary that equal options make equal."""
    summary = json.loads((folder / "summary.json").read_text())
    return {key: value for key, value in summary.items() if key not in VARYING}


def copied(runs: Path, name: str) -> str:
    """Return the name of a copy of the finished run: its search need not be done again."""
    shutil.copytree(runs / "digits", runs / name, dirs_exist_ok=True)
    (runs / name / "summary.json").unlink()
    return name
