"""``python -m tests.rtl.build.proof``: what was checked of the boards' scripts and overlays.

Run by ``nox -s zynq`` behind the tests that check it. Writes docs/results/boards.json.
"""

import json
import sys
from pathlib import Path

from rtl.board import Board, board_names, load_board
from rtl.build.block_design import block_design
from rtl.build.overlay import overlay
from rtl.config import engine
from rtl.files import atomic_write, sha256_of
from tests.rtl.build import trees

RESULTS = Path(__file__).parents[3] / "docs" / "results" / "boards.json"
SCHEMA = 1
ZYNQ = [board for board in map(load_board, board_names()) if board.zynq]


def hashes(board: Board) -> dict[str, str]:
    """Return hashes of what is written for a board."""
    design = f"pulsar_{engine(board.engine).name}"
    return {
        "overlay_sha256": sha256_of(overlay(board, design)),
        "script_sha256": sha256_of(block_design(board, engine(board.engine), design)),
    }


def main() -> int:
    """Write the file."""
    kernels = {}
    for release in trees.RELEASES:
        version, folder = trees.fetch(release)
        found = {
            board.name: sorted(
                tree.name for name in board.require_zynq().trees for tree in folder.glob(name)
            )
            for board in ZYNQ
        }
        kernels[release] = {"version": version, "trees": found}
    report = {
        "schema": SCHEMA,
        "boards": {board.name: hashes(board) for board in ZYNQ},
        "kernels": kernels,
        "tools": {
            "dtc": trees.run("dtc", "--version").split()[-1],
            "tclsh": trees.run("sh", "-c", "echo 'puts [info patchlevel]' | tclsh").strip(),
        },
    }
    with atomic_write(RESULTS, "w") as file:
        file.write(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
