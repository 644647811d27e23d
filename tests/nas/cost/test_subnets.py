"""Random networks of a calibration: what an engine runs, in turns of memories, by a seed."""

from dataclasses import replace

import pytest

from nas.cost import subnets
from nas.cost.records import SEED_HELD_OUT
from nas.cost.subnets import ENDS_BY, LARGE, MEMORIES, SMALL, family_of, sample_subnets
from rtl.board import board_names, load_board
from rtl.compiler import plan
from rtl.config import TINY, TINY_SELECT, ULX3S, ZCU102
from rtl.config import engine as engine_of
from rtl.errors import UserError


@pytest.mark.parametrize("board", board_names())
def test_networks_that_the_engine_runs(board):
    board = load_board(board)
    engine = engine_of(board.engine)
    samples = sample_subnets(board, engine, 6, seed=0)
    for sample in samples:
        plan(sample.shape, engine)
    assert len({sample.shape for sample in samples}) == 6
    assert sample_subnets(board, engine, 4, seed=0) == samples[:4]
    assert sample_subnets(board, engine, 6, seed=1) != samples


@pytest.mark.parametrize("board", board_names())
def test_both_ends_of_the_depths_are_among_the_first_networks(board):
    board = load_board(board)
    engine = engine_of(board.engine)
    depths = family_of(engine).depths
    samples = sample_subnets(board, engine, ENDS_BY, SEED_HELD_OUT)
    assert {min(depths), max(depths)} <= {len(sample.shape.blocks) for sample in samples}


def test_an_end_that_the_engine_cannot_run_is_left_out(monkeypatch):
    monkeypatch.setattr(subnets, "TRIES", 20)
    board = load_board("sim")
    monkeypatch.setattr(subnets, "SMALL", replace(SMALL, depths=(2, 3, 100), most_cycles=20_000))
    found = {len(sample.shape.blocks) for sample in sample_subnets(board, TINY, ENDS_BY, seed=0)}
    assert found == {2, 3}


def test_of_an_engine_that_selects_tokens_some_networks_do():
    board = load_board("sim")
    shapes = [sample.shape for sample in sample_subnets(board, TINY_SELECT, 12, seed=0)]
    selecting = [shape for shape in shapes if shape.selects]
    assert 3 <= len(selecting) <= 9
    assert all(len(shape.keep) <= 3 for shape in selecting)
    assert all(shape.patches_in(len(shape.blocks)) < shape.patches for shape in selecting)
    assert not any(sample.shape.selects for sample in sample_subnets(board, TINY, 12, seed=0))


def test_memories_take_turns():
    board = load_board("sim")
    samples = sample_subnets(board, TINY, 6, seed=0)
    memories = [sample.memory for sample in samples]
    assert memories[:3] == memories[3:] and len(set(memories)) == len(MEMORIES)
    assert memories[0].bytes_per_cycle == board.bytes_per_cycle()
    assert all((256 * memory.bytes_per_cycle).is_integer() for memory in memories)


def test_families_by_the_size_of_the_array():
    assert [family_of(engine) for engine in (TINY, ULX3S, ZCU102)] == [SMALL, SMALL, LARGE]


def test_an_engine_that_runs_hardly_any_is_named():
    none = replace(TINY, name="none", residual_words=2)
    with pytest.raises(UserError, match="engine 'none' runs hardly any of the networks"):
        sample_subnets(load_board("sim"), none, 1, seed=0)
