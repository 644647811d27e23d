"""Sizes of engines: lanes of the grid, levels of storage, scratchpads for a network."""

from dataclasses import replace

import pytest

from nas.cost.engine_search.grid import fullest
from nas.cost.engine_search.sizing import (
    LEVELS,
    LaneCounts,
    all_lanes,
    engine_for,
    in_ultraram,
    levels_within,
)
from rtl.board import load_board
from rtl.build.synthesis import Resources
from rtl.compiler import plan
from rtl.config import KV260, SCRATCHPADS
from rtl.errors import UserError
from rtl.resources.memories import block_memories, ultra_rams
from tests.nas.cost.engine_search.made import GRID, LARGEST, SMALLEST, SPACE, board


def test_levels_within_a_calibration():
    levels = levels_within({"score_slots": (3, 4), "queue_depth": (8, 32), "row_lanes": (8, 8)})
    assert levels == LEVELS | {"score_slots": (3, 4), "queue_depth": (16, 32)}
    assert levels_within({"queue_depth": (32, 32)})["queue_depth"] == (32,)
    assert levels_within({}) == LEVELS


def test_the_grid_has_every_kind_of_lanes():
    lanes = set(all_lanes())
    assert {LaneCounts(18, 32, 16, 1, 1), LaneCounts(2, 4, 4, 1, 1)} <= lanes
    assert LaneCounts(32, 64, 4, 16, 8) in lanes


@pytest.mark.parametrize("lanes", GRID[::3], ids=str)
def test_scratchpads_are_just_large_enough(lanes):
    """The largest subnet fits, and with a word less of what it cannot do without it does not."""
    space = SPACE.tiled(16)
    largest = space.shape(space.largest())
    engine = engine_for(lanes, SMALLEST, largest, board(), 6)
    plan(largest, engine)
    for name in ("residual_words", "key_words", "value_words"):
        with pytest.raises(UserError, match=name):
            plan(largest, replace(engine, **{name: getattr(engine, name) - 1}))
    roomy = engine_for(lanes, LARGEST, largest, board(), 6)
    assert roomy.weight_words == 4 * engine.weight_words
    assert roomy.activation_words >= engine.activation_words


@pytest.mark.parametrize("patches, most", [(0, 0), (1, 256), (256, 256), (257, 1024), (2000, 1024)])
def test_an_engine_selects_as_many_patches_as_there_are(patches, most):
    largest = SPACE.tiled(16).shape(SPACE.largest())
    engine = engine_for(GRID[0], SMALLEST, largest, board(), 6, selected=patches)
    assert engine.select_tokens == most


def memories(engine) -> Resources:
    blocks = sum(block_memories(engine, "xilinx").values())
    return Resources(bram36=blocks, uram=sum(ultra_rams(engine).values()))


def test_scratchpads_in_ultraram():
    """No exchange of one scratchpad leaves the fuller kind of memory emptier; 0 and None: none."""
    kv260, bare = load_board("kv260"), replace(KV260, uram=())
    engine = in_ultraram(bare, kv260)
    most = fullest(memories(engine), kv260)
    assert most < 1 < fullest(memories(bare), kv260)
    for name in SCRATCHPADS:
        names = {*engine.uram} ^ {name}
        other = replace(engine, uram=[each for each in SCRATCHPADS if each in names])
        assert fullest(memories(other), kv260) >= most
    assert in_ultraram(bare, load_board("zcu102")) == in_ultraram(bare, load_board("sim")) == bare
