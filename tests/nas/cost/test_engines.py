"""Random engines: the same for a seed, and of a board's ranges."""

import json
from dataclasses import asdict, replace

import pytest

from nas.cost.engines import RANGES, corner_engines, sample_engines
from rtl.board import board_names, load_board
from rtl.config import ENGINES

ZCU102 = load_board("zcu102")
SIZES = ("token_lanes", "row_lanes", "depth_lanes", "queue_depth", "memory_bytes")


def test_a_seed_gives_the_same_engines():
    engines = sample_engines(ZCU102, 12, seed=1)
    assert engines == sample_engines(ZCU102, 12, seed=1)
    assert engines[:5] == sample_engines(ZCU102, 5, seed=1)
    assert engines != sample_engines(ZCU102, 12, seed=2)


def test_names_say_what_they_are():
    assert [e.name for e in sample_engines(ZCU102, 3, seed=0)] == [
        "sample-0", "sample-1", "sample-2",
    ]  # fmt: skip


@pytest.mark.parametrize("board", board_names())
def test_sizes_lie_in_the_board_s_ranges(board):
    board = load_board(board)
    base = ENGINES[board.engine.lower()]
    ranges = RANGES[base.name]
    assert all(min(sizes) <= getattr(base, name) <= max(sizes) for name, sizes in ranges.items())
    engines = sample_engines(board, 60, seed=3)
    for size in ("token_lanes", "row_lanes", "queue_depth", "memory_bytes"):
        assert {getattr(e, size) for e in engines} == set(ranges[size])
    assert {e.act_bits for e in engines} == {4, 6, 8}
    assert {e.score_slots for e in engines} == {2, 3, 4}
    assert {e.multiplier for e in engines} == {base.multiplier}
    words = {e.weight_words for e in engines}
    assert base.weight_words / 2 <= min(words) < max(words) <= base.weight_words * 2
    assert len(words) > 10


@pytest.mark.parametrize("board", board_names())
def test_no_random_engine_lies_beyond_the_corners(board):
    board = load_board(board)
    smallest, largest = corner_engines(board)
    for engine in sample_engines(board, 60, seed=3):
        for size in (*SIZES, "act_bits", "score_slots", "softmax_parts", "norm_parts"):
            assert getattr(smallest, size) <= getattr(engine, size) <= getattr(largest, size), size
    assert smallest.multiplier == largest.multiplier == ENGINES[board.engine.lower()].multiplier


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("token_lanes", [2, 6])
def test_a_board_with_any_engine_has_ranges(name, token_lanes, tmp_path):
    """From an engine file, of the board's own; the largest is as large as the board's engine."""
    engine = replace(ENGINES[name], name="mine", token_lanes=token_lanes)
    file = tmp_path / "engine.json"
    file.write_text(json.dumps(asdict(engine)))
    board = ZCU102.model_copy(update={"name": "other", "engine": str(file)})
    smallest, largest = corner_engines(board)
    engines = sample_engines(board, 30, seed=0)
    assert len(set(engines)) == 30
    for size in SIZES:
        low, high = getattr(smallest, size), getattr(largest, size)
        assert high == getattr(engine, size)
        assert low < high or size in ("token_lanes", "row_lanes", "depth_lanes", "memory_bytes")
        assert all(low <= getattr(other, size) <= high for other in engines)
