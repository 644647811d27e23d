"""Runs tests/benches/misuse.py, the engine misused by its host, on any board's engine."""

import json
from pathlib import Path

import numpy as np

from rtl.board import Board
from rtl.compiler import compile_model
from rtl.model import IntegerModel
from sim import golden, runner, testbench
from sim.random_model import random_images

TESTS = 10


def check_misuse(model: IntegerModel, board: Board, folder: Path) -> None:
    """Every test of the bench ran and passed, and the last inference was clean."""
    engine = runner.engine_of(board)
    images = random_images(model.image, 2, seed=1)
    job = runner.SimulationJob(compile_model(model, engine), images, board, engine, folder)
    job.write()
    description = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps(description | {"engine": engine.hash}))
    results = job.start(testbench.build(engine), "tests.benches.misuse", tap=False)
    assert len(results.tests) == TESTS
    assert np.array_equal(job.output()[0], golden.run(model, images)[0])
