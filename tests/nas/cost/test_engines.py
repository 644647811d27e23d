"""Random engines: the same for a seed, and of a board's ranges."""

from dataclasses import fields

import pytest

import boards
from nas.cost.engines import RANGES, EngineRanges, corner_engines, sample_engines
from rtl.config import ENGINES
from rtl.errors import UserError

ZCU102 = boards.load("zcu102")


def test_a_seed_gives_the_same_engines():
    engines = sample_engines(ZCU102, 12, seed=1)
    assert engines == sample_engines(ZCU102, 12, seed=1)
    assert engines[:5] == sample_engines(ZCU102, 5, seed=1)
    assert engines != sample_engines(ZCU102, 12, seed=2)


def test_names_say_what_they_are():
    assert [e.name for e in sample_engines(ZCU102, 3, seed=0)] == [
        "sample-0", "sample-1", "sample-2",
    ]  # fmt: skip


@pytest.mark.parametrize("board", boards.names())
def test_sizes_lie_in_the_board_s_ranges(board):
    board = boards.load(board)
    base = ENGINES[board.engine.lower()]
    ranges = RANGES[base.name]
    engines = sample_engines(board, 60, seed=3)
    for size in ("token_lanes", "row_lanes", "queue_depth", "memory_bytes"):
        assert {getattr(e, size) for e in engines} == set(getattr(ranges, size))
    assert {e.act_bits for e in engines} == {4, 6, 8}
    assert {e.score_slots for e in engines} == {2, 3, 4}
    assert {e.multiplier for e in engines} == {base.multiplier}
    words = {e.weight_words for e in engines}
    assert base.weight_words / 2 <= min(words) < max(words) <= base.weight_words * 2
    assert len(words) > 10


@pytest.mark.parametrize("board", boards.names())
def test_no_random_engine_lies_beyond_the_corners(board):
    board = boards.load(board)
    smallest, largest = corner_engines(board)
    for engine in sample_engines(board, 60, seed=3):
        for size in (*(each.name for each in fields(EngineRanges)), "act_bits", "score_slots",
                     "softmax_parts", "norm_parts"):  # fmt: skip
            assert getattr(smallest, size) <= getattr(engine, size) <= getattr(largest, size), size
    assert smallest.multiplier == largest.multiplier == ENGINES[board.engine.lower()].multiplier


def test_a_board_with_another_engine_is_refused():
    board = ZCU102.model_copy(update={"name": "other", "engine": "ZCU102_A8"})
    with pytest.raises(UserError) as error:
        sample_engines(board, 1, seed=0)
    assert str(error.value) == (
        "no ranges to draw engines from around engine 'zcu102_a8' of board 'other': there are some"
        " for tiny, ulx3s, zcu102"
    )
