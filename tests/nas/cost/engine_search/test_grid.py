"""Engines of a grid: their costs, and what stands for a space."""

from dataclasses import replace

import numpy as np
import pytest

from nas.cost.engine_search.grid import (
    SUBNETS,
    binding_of,
    described,
    fullest,
    resource_model_of,
    shares,
    subnets_of,
)
from rtl.build.synthesis import Resources
from rtl.config import TINY
from rtl.errors import UserError
from tests.nas.cost.engine_search.made import (
    GRID,
    LARGEST,
    MODEL,
    SMALLEST,
    SPACE,
    board,
    cycles_of,
    grid,
)


def test_both_ends_of_a_space_and_others_stand_for_it():
    networks = subnets_of(SPACE)
    shapes = networks(16)
    assert len(shapes) == SUBNETS == len(set(shapes))
    space = SPACE.tiled(16)
    assert shapes[0] == space.shape(space.largest())
    assert shapes[-1] == space.shape(space.smallest())
    assert shapes == subnets_of(SPACE)(16)
    assert networks(32)[3].row_granularity == 32
    assert [each.width for each in networks(32)] == [each.width for each in shapes]


def test_one_of_them_selects_where_the_space_lets_one():
    """Even if none at random does, so that an engine that is built for them runs it."""
    space = replace(SPACE, depths=(1, 2, 3), keeps=(0.5,))
    shapes = subnets_of(space)(16)
    assert len(shapes) == SUBNETS
    assert [shape.keep for shape in shapes if shape.selects] == [{0: 8, 1: 4}]


def test_an_engine_is_costed_once():
    asked = []

    def counted(target, shapes):
        asked.append(target.engine)
        return cycles_of(target, shapes)

    searched = grid(board())
    searched.cycles_of = counted
    engine = searched.engine(GRID[0], SMALLEST)
    first, second = searched.costed(engine), searched.costed(engine)
    assert first is second and asked == [engine]
    assert first.log_cycles == pytest.approx(np.log(first.cycles).mean())
    assert first.resources == MODEL.predict(engine) == searched.resources(engine)


def test_an_engine_without_room_does_not_run():
    searched = grid(board())
    engine = searched.engine(GRID[0], LARGEST)
    assert searched.runs(engine)
    small = searched.engine(GRID[0], SMALLEST)
    object.__setattr__(small, "residual_words", small.residual_words - 1)
    assert not searched.runs(small)
    with pytest.raises(UserError, match="residual_words"):
        searched.check(small)


def test_a_board_that_is_not_calibrated():
    message = r"^an engine search needs .* not calibrated: run python -m nas.calibrate --board made"
    with pytest.raises(UserError, match=message):
        resource_model_of(board())


USED = Resources(dsp=50, lut=300, ff=10, bram36=4)
MADE = board(dsp=100, lut=200, ff=100, bram36=8)


def test_fractions_of_the_limits():
    assert shares(USED, MADE) == {"dsp": 0.5, "lut": 1.5, "ff": 0.1, "bram36": 0.5}
    assert fullest(USED, MADE) == 1.5


def test_the_limit_that_is_exceeded_most_binds():
    binding = binding_of(TINY, USED, MADE)
    assert str(binding) == "lut: 4 x 16 x 8 would need 300 of 200"


def test_engines_with_the_same_lanes_are_told_apart_by_other_sizes():
    larger = replace(TINY, name="larger", weight_words=2048)
    assert described(larger, replace(TINY, token_lanes=2)) == "4 x 16 x 8"
    assert described(larger, TINY) == "4 x 16 x 8 with name larger, weight_words 2048"
