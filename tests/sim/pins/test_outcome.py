"""Predicted cycles of images, in runs of as many as memory has room for."""

from pathlib import Path

from rtl.board import load_board
from rtl.config import ULX3S
from sim.pins.outcome import compile_for, predicted_cycles

MODEL = Path(__file__).parents[2] / "conformance" / "colour.pulsar"


def test_each_run_begins_anew():
    board = load_board("ulx3s")
    compiled, package = compile_for(MODEL, board, ULX3S)
    assert package.region == compiled.region and package.engine_hash == ULX3S.hash
    cycles = predicted_cycles(compiled, board, images=7, room=3)
    first, further = cycles[0], cycles[1]
    assert cycles == (first, further, further, first, further, further, first)
    assert 0.5 * first < further < first
