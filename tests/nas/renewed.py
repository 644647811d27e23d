"""Calibrations of the package's boards as if they had been made with what is there now.

Most tests are not about their age: it is tests/nas/cost/test_calibration.py that says when they are
out of date. As long as they are not, this changes nothing.
"""

from functools import cache
from pathlib import Path

from nas.cost import calibration
from nas.cost.calibration import Calibration
from nas.cost.records import SEED_HELD_OUT, predicted
from nas.cost.subnets import sample_subnets
from rtl.board import FOLDER, load_board
from rtl.config import engine as engine_of

STALE = "the RTL has changed for hardware: python -m nas.calibrate for sim, ulx3s and zcu102"
"""Reason of tests that fail, strictly, until the calibrations are renewed; then this file goes."""
PROBES = 6  # more than any test looks at
_load = calibration._load


def renewed(found: Calibration) -> Calibration:
    """Replace the engine's hash, and the programs and cycles that every command predicts again."""
    board = load_board(found.board)
    engine = engine_of(board.engine)
    rows = found.latency.held_out
    samples = sample_subnets(board, engine, PROBES, SEED_HELD_OUT)
    now = [predicted(sample, engine) for sample in samples]
    probes = [
        row.model_copy(update={"program": program, "predicted": cycles})
        for row, (program, cycles) in zip(rows, now, strict=False)
    ]
    made = {"engine_hash": f"{engine.hash:016x}", "held_out": [*probes, *rows[PROBES:]]}
    return found.model_copy(update={"latency": found.latency.model_copy(update=made)})


@cache
def load_renewed(path: Path, changed: int) -> Calibration:
    """Stand in for the reader of calibration files."""
    found = _load(path, changed)
    return renewed(found) if path.parent == FOLDER else found
