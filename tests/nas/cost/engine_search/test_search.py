"""Branch and bound: what is tried, what is left out, and how storage is added."""

import time
from dataclasses import replace
from itertools import product
from math import exp, inf

import pytest

from nas.cost.engine_search.grid import EngineGrid, fullest
from nas.cost.engine_search.search import Candidates, fastest, sized
from nas.cost.engine_search.sizing import LaneCounts, Storage
from rtl.errors import UserError
from tests.nas.cost.engine_search.made import GRID, LARGEST, SMALLEST, board, grid


@pytest.fixture(scope="module")
def searched() -> EngineGrid:
    return grid(board())


@pytest.fixture(scope="module")
def candidates(searched) -> Candidates:
    return Candidates.of(searched, GRID)


def test_bounds_are_below_the_cycles_whatever_the_storage(searched, candidates):
    assert len(candidates.bounds) == len(GRID)
    for bound, lanes in candidates.bounds:
        for storage in (SMALLEST, LARGEST):
            assert bound <= searched.costed(searched.engine(lanes, storage)).log_cycles


@pytest.mark.parametrize("count", [1, 4, len(GRID)])
def test_the_fastest_are_those_of_a_search_that_tries_all(searched, candidates, count):
    everything = sorted(sized(searched, lanes)[0].log_cycles for _, lanes in candidates.bounds)
    tried = []
    found = fastest(searched, candidates, count, lambda *each: tried.append(each))
    assert [each.log_cycles for each in found.engines] == everything[:count]
    assert found.gap is None
    bounds = [bound for bound, _ in candidates.bounds]
    needed = sum(bound <= everything[count - 1] for bound in bounds)
    assert tried[-1] == (needed, needed) if count < len(GRID) else (len(GRID) - 1, len(GRID))
    if count == 1:
        assert needed < 0.6 * len(GRID)  # nothing is compiled for the others


def test_a_search_that_is_stopped_returns_what_it_has(searched, candidates):
    first = sized(searched, candidates.bounds[0][1])[0]
    found = fastest(searched, candidates, 4, deadline=time.monotonic())
    assert [each.engine for each in found.engines] == [first.engine]
    assert found.gap == pytest.approx(1 - exp(candidates.bounds[1][0] - first.log_cycles))
    found = fastest(searched, replace(candidates, bounds=candidates.bounds[:1]), 4, deadline=0)
    assert found.gap is None  # there was no other


def test_lanes_that_do_not_fit_are_excluded_with_both_storages(searched):
    tight = grid(board(dsp=150))
    found = Candidates.of(tight, GRID)
    lanes = {lanes for _, lanes in found.bounds}
    assert 0 < len(lanes) < len(GRID)
    assert len(found.excluded) == 2 * (len(GRID) - len(lanes))
    for engine, resources in found.excluded:
        assert resources.dsp > 150 and resources == tight.resources(engine)


def test_a_board_that_is_too_small():
    with pytest.raises(UserError) as error:
        Candidates.of(grid(board(dsp=40)), GRID)
    assert str(error.value) == (
        "no calibrated engine with enough room fits board 'made', not even the smallest: dsp:"
        " 2 x 8 x 4 would need 48 of 40, 8 too many"
    )


@pytest.mark.parametrize("lanes", GRID[::4], ids=str)
def test_storage_is_added_while_it_brings_something(lanes: LaneCounts):
    """Nothing that fits is 3 % faster, as kinds are tried one by one; the excluded do not fit."""
    tight = grid(board(bram36=14))
    found, excluded = sized(tight, lanes)
    assert found.log_cycles <= tight.costed(tight.engine(lanes, SMALLEST)).log_cycles
    for values in list(product(*tight.levels.values()))[::7]:
        engine = tight.engine(lanes, Storage(**dict(zip(tight.levels, values, strict=True))))
        if fullest(tight.resources(engine), tight.board) <= 1:
            assert found.log_cycles <= tight.costed(engine).log_cycles + 0.03
    assert all(resources.bram36 > 14 for _, resources in excluded)


def test_no_more_storage_than_is_enough(searched):
    found, excluded = sized(searched, GRID[0], enough=inf)
    assert found.engine == searched.engine(GRID[0], SMALLEST) and not excluded
