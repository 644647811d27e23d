"""Engines that fit tight boards: other limits bind on each, and nothing else is as fast."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from nas.cost.engine_search import search
from nas.cost.engine_search.grid import SUBNETS, Binding, fullest
from nas.cost.engine_search.search import choose, reaching
from nas.space import Space
from rtl.board import Board, Limits
from rtl.build.synthesis import Resources
from rtl.compiler import plan
from rtl.errors import UserError
from rtl.resources.model import ResourceModel
from tests.nas.cost.engine_search.made import (
    GRID,
    LARGEST,
    MODEL,
    SMALLEST,
    SPACE,
    board,
    cycles_of,
    fitted_to,
    grid,
)

TIGHT = {"dsp": {"dsp": 150}, "lut": {"lut": 5000}, "bram36": {"bram36": 12}}


def chosen(
    made: Board, model: ResourceModel = MODEL, space: Space = SPACE, act_bits: int = 6
) -> search.Choice:
    return choose(made, space, act_bits, cycles_of, model)


@pytest.mark.parametrize("resource", TIGHT)
def test_every_limit_can_bind(resource):
    tight = board(**TIGHT[resource])
    found = chosen(tight)
    assert 1 <= len(found.engines) <= search.KEPT
    for each in found.engines:
        tight.require(**asdict(MODEL.predict(each.engine)))
    binding = found.binding(found.engines[0])
    assert binding.resource == resource
    assert binding.needed > binding.limit == TIGHT[resource][resource]
    shares = [fullest(resources, tight) for _, resources in found.excluded]
    assert shares == sorted(shares) and shares[0] > 1


def test_a_limit_that_keeps_a_slower_engine_out_does_not_bind():
    found = chosen(board(**TIGHT["dsp"]))
    best, searched = found.engines[0], found.grid
    slower = searched.engine(GRID[0], SMALLEST)
    assert searched.costed(slower).log_cycles > best.log_cycles
    too_large = Resources(dsp=151, lut=1, ff=1, bram36=1)
    assert replace(found, excluded=((slower, too_large),)).binding(best) is None
    faster, used = found.excluded[-1]
    assert searched.costed(faster).log_cycles < best.log_cycles - search.NOTABLE
    both = replace(found, excluded=((slower, too_large), (faster, used)))
    assert both.binding(best).needed == used.dsp > 151


def test_what_a_binding_says():
    assert str(Binding("dsp", "20 x 32 x 16", 2712, 2520)) == (
        "dsp: 20 x 32 x 16 would need 2,712 of 2,520"
    )


def test_nothing_binds_where_everything_fits():
    found = chosen(board())
    assert found.excluded == () and found.binding(found.engines[0]) is None


@pytest.mark.parametrize("limits", [{}, *TIGHT.values()], ids=str)
def test_no_engine_of_the_grid_is_faster(limits):
    """Whatever its storage; a step of storage that brings next to nothing is not taken."""
    made = board(**limits)
    best = chosen(made).engines[0]
    searched = grid(made)
    for lanes in GRID:
        for storage in (SMALLEST, LARGEST):
            engine = searched.engine(lanes, storage)
            used = asdict(MODEL.predict(engine))
            if all(used[name] <= limit for name, limit in made.limits.model_dump().items()):
                assert best.log_cycles <= searched.costed(engine).log_cycles + 0.01


def test_kept_engines_do_not_beat_one_another():
    engines = chosen(board(dsp=150)).engines
    for one in engines:
        assert not any((other.cycles <= one.cycles).all() for other in engines if other is not one)


def test_among_near_equals_the_smallest_is_kept():
    """And one that is slower on every subnet is not."""
    first = chosen(board(dsp=150)).engines[0]
    smaller = replace(first, cycles=first.cycles * (1 + search.NEAR / 2), share=first.share / 2)
    slower = replace(first, cycles=first.cycles * (1 + 3 * search.NEAR))
    assert search._best([first, smaller, slower]) == [smaller]
    other = first.cycles * np.where(np.arange(SUBNETS) < 2, 0.9, 1.1)
    assert len(search._best([first, replace(first, cycles=other)])) == 2


def test_a_choice_repeats():
    first, second = (chosen(board(dsp=150)) for _ in range(2))
    assert [each.engine for each in first.engines] == [each.engine for each in second.engines]
    assert first.excluded == second.excluded
    assert first.gap is None


def test_a_search_that_is_stopped_says_how_far_it_came():
    """At once: a single engine was tried, the one with the lowest bound."""
    progress = []
    found = choose(
        board(), SPACE, 6, cycles_of, MODEL, lambda *each: progress.append(each), seconds=0
    )
    assert len(found.engines) == 1
    assert found.gap and 0 < found.gap < 1
    assert progress == [(0, len(GRID)), (1, len(GRID))]


def test_every_subnet_runs_on_the_engines():
    rng = np.random.default_rng(1)
    for each in chosen(board(bram36=12), act_bits=4).engines:
        assert each.engine.act_bits == 4
        assert each.engine.memory_bytes == min(32, each.engine.weight_word_bytes)  # two ports
        space = SPACE.tiled(each.engine.row_lanes)
        for _ in range(50):
            plan(space.shape(space.sample(rng)), each.engine)


def test_engines_that_reach_a_rate_the_smallest_first():
    """Every one, and no other, but for the fastest at last."""
    searched = grid(board())
    *_, fastest = reaching(searched, 1.0)
    cycles = [searched.costed(searched.engine(lanes, SMALLEST)).log_cycles for lanes in GRID]
    most = (fastest.log_cycles + max(cycles)) / 2
    *found, last = reaching(searched, np.exp(most))
    assert last.engine == fastest.engine
    assert fastest.log_cycles <= chosen(board()).engines[0].log_cycles
    able = [each for each in cycles if each <= most]
    assert 1 < len(able) <= len(found) < len(GRID)
    assert all(each.log_cycles <= most for each in found)
    assert found[0].share == min(each.share for each in found)


def test_no_engine_reaches_a_rate_beyond_the_fastest():
    [fastest] = reaching(grid(board()), 1.0)
    assert not list(reaching(grid(board()), 1.0, known=0.5 * fastest.cycles.min()))


def test_a_board_without_limits_is_refused():
    made = board().model_copy(update={"limits": Limits(dsp=9)})
    with pytest.raises(UserError) as error:
        chosen(made)
    assert str(error.value) == (
        "an engine search needs a board with limits, and board 'made' has none of lut, ff, bram36:"
        " state them under [limits] in its file, or choose another board"
    )


def test_no_engine_beyond_the_calibration():
    """The fastest engine of the grid has 8 token lanes, and little storage is not known."""
    ranges = {"token_lanes": (2, 4), "norm_parts": (1, 1), "score_slots": (3, 4)}
    model = fitted_to(**ranges)
    found = chosen(board(), model)
    for each in found.engines:
        assert model.extrapolates(each.engine) == []
    assert chosen(board()).engines[0].engine.token_lanes == 8
    kept = [lanes for lanes in GRID if lanes.token_lanes < 8 and lanes.norm_parts == 1]
    assert (found.lanes, found.left_out) == (len(GRID), len(GRID) - len(kept))


def test_no_limit_binds_beyond_the_calibration():
    model = fitted_to(token_lanes=(2, 4))
    found = chosen(board(dsp=150), model)
    assert found.excluded
    assert not any(model.extrapolates(engine) for engine, _ in found.excluded)


def test_a_calibration_without_any_engine_of_the_grid():
    with pytest.raises(UserError) as error:
        chosen(board(), fitted_to(token_lanes=(2, 8), act_bits=(4, 4)))
    assert str(error.value) == (
        "no engine of act_bits 6 in the grid lies within the calibration of board 'made', whose"
        " engines have token_lanes 2..8, act_bits 4..4"
    )


def test_a_space_that_no_engine_can_run():
    wide = replace(SPACE, widths=(2048,))
    with pytest.raises(UserError, match=r"^width: 2,048 needed, 1,024 available"):
        chosen(board(), space=wide)
