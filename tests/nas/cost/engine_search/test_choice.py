"""Engines that fit tight boards: other limits bind on each, and nothing else is as fast."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from nas.cost.engine_search import Binding, CostModels, choice, choose, reaching
from nas.cost.engine_search.grid import Grid, sampled
from nas.cost.engine_search.limits import fullest
from nas.cost.engine_search.sizing import (
    LEVELS,
    Lanes,
    Storage,
    all_lanes,
    engine_for,
    levels_within,
)
from nas.cost.latency import Coefficients
from nas.digits import DIGITS
from rtl.board import Board, BoardMemory, Limits
from rtl.build.synthesis import Resources
from rtl.compiler import plan
from rtl.config import EngineConfig
from rtl.errors import UserError
from rtl.resources.model import ResourceModel

SPACE = replace(DIGITS, widths=(32, 48), depths=(1, 2), heads=(2, 3), fractions=(0.0, 1.0))
GRID = [
    Lanes(tokens, rows, depth, softmax, norm)
    for tokens in (2, 4, 8)
    for rows, depth in ((8, 4), (8, 8), (16, 8))
    for softmax in (1, 2)[: rows // depth]
    for norm in (1, 2)[: rows // depth]
]
AMPLE = {"dsp": 2000, "lut": 10**6, "ff": 10**6, "bram36": 1000}


class Made(ResourceModel):
    """Resources that anyone can count."""

    def predict(self, engine: EngineConfig) -> Resources:
        words = engine.activation_words + engine.weight_words
        lanes = engine.products // 4 + 4 * (engine.norm_lanes + engine.softmax_lanes)
        return Resources(
            lanes, 10 * lanes * engine.token_lanes, 99, engine.products / 32 + words / 256
        )


def fitted_to(**ranges: tuple[int, int]) -> CostModels:
    """Cost models that were fitted to engines in ranges."""
    return CostModels(Made("ecp5", {}, ranges), Coefficients())


MODELS = fitted_to()
LEAN, ROOMY = (Storage(**{name: levels[i] for name, levels in LEVELS.items()}) for i in (0, -1))


def board(**limits: int) -> Board:
    return Board(
        name="made",
        device="LFE5U-85F",
        clock_hz=50_000_000,
        engine="ULX3S",
        limits=Limits(**AMPLE | limits),
        memory=BoardMemory(gigabytes_per_second=3.2, latency_cycles=20, ports=2),
    )


@pytest.fixture(autouse=True)
def small_grid(monkeypatch):
    monkeypatch.setattr(choice, "all_lanes", lambda: iter(GRID))


TIGHT = {"dsp": {"dsp": 150}, "lut": {"lut": 5000}, "bram36": {"bram36": 12}}


@pytest.mark.parametrize("resource", TIGHT)
def test_every_limit_can_bind(resource):
    tight = board(**TIGHT[resource])
    found = choose(tight, SPACE, 6, MODELS)
    assert 1 <= len(found.engines) <= choice.KEPT
    for each in found.engines:
        tight.require(**asdict(MODELS.resources.predict(each.engine)))
        binding = found.binding(each)
        assert binding.resource == resource
        assert binding.needed > binding.limit == TIGHT[resource][resource]
    shares = [fullest(resources, tight) for _, resources in found.excluded]
    assert shares == sorted(shares) and shares[0] > 1


def test_a_limit_that_keeps_a_slower_engine_out_does_not_bind():
    tight = board(**TIGHT["dsp"])
    found = choose(tight, SPACE, 6, MODELS)
    best, grid = found.engines[0], found.grid
    slower = grid.engine(GRID[0], LEAN)
    assert grid.log_cycles(slower) > best.log_cycles
    too_large = Resources(dsp=151, lut=1, ff=1, bram36=1)
    assert replace(found, excluded=((slower, too_large),)).binding(best) is None
    faster, used = found.excluded[-1]
    assert grid.log_cycles(faster) < best.log_cycles - choice.NEAR
    both = replace(found, excluded=((slower, too_large), (faster, used)))
    assert both.binding(best).needed == used.dsp > 151


def test_what_a_binding_says():
    assert str(Binding("dsp", "20 x 32 x 16", 2712, 2520)) == (
        "dsp: 20 x 32 x 16 would need 2,712 of 2,520"
    )


def test_nothing_binds_where_everything_fits():
    found = choose(board(), SPACE, 6, MODELS)
    assert found.excluded == () and found.binding(found.engines[0]) is None


@pytest.mark.parametrize("limits", [{}, *TIGHT.values()], ids=str)
def test_no_engine_of_the_grid_is_faster(limits):
    """Whatever its storage."""
    made = board(**limits)
    grid = Grid(made, sampled(SPACE), 6, MODELS)
    best = choose(made, SPACE, 6, MODELS).engines[0]
    for lanes in GRID:
        for storage in (LEAN, ROOMY):
            engine = grid.engine(lanes, storage)
            used = asdict(MODELS.resources.predict(engine))
            if all(used[name] <= limit for name, limit in made.limits.model_dump().items()):
                assert best.log_cycles <= grid.log_cycles(engine) + 2 * choice.NEAR


def test_kept_engines_do_not_beat_one_another():
    engines = choose(board(dsp=150), SPACE, 6, MODELS).engines
    for one in engines:
        assert not any((other.cycles <= one.cycles).all() for other in engines if other is not one)


def test_a_choice_repeats():
    first, second = (choose(board(dsp=150), SPACE, 6, MODELS) for _ in range(2))
    assert [each.engine for each in first.engines] == [each.engine for each in second.engines]
    assert first.excluded == second.excluded


def test_every_subnet_runs_on_the_engines():
    rng = np.random.default_rng(1)
    for each in choose(board(bram36=12), SPACE, 4, MODELS).engines:
        assert each.engine.act_bits == 4
        assert each.engine.memory_bytes == min(32, each.engine.weight_word_bytes)  # two ports
        space = SPACE.tiled(each.engine.row_lanes)
        for _ in range(50):
            plan(space.shape(space.sample(rng)), each.engine)


def test_engines_that_reach_a_rate_the_smallest_first():
    """Every one, and no other, but for the fastest at last."""
    grid = Grid(board(), sampled(SPACE), 6, MODELS)
    *_, fastest = reaching(grid, 1.0)
    slowest = max(grid.log_cycles(grid.engine(lanes, ROOMY)) for lanes in GRID)
    most = (fastest.log_cycles + slowest) / 2
    *found, last = reaching(grid, np.exp(most))
    assert last.engine == fastest.engine
    assert fastest.log_cycles == choose(board(), SPACE, 6, MODELS).engines[0].log_cycles
    able = [lanes for lanes in GRID if grid.log_cycles(grid.engine(lanes, LEAN)) <= most]
    assert 1 < len(able) <= len(found) < len(GRID)
    assert all(each.log_cycles <= most + choice.NEAR for each in found)
    assert found[0].share == min(each.share for each in found)


def test_no_engine_reaches_a_rate_beyond_the_fastest():
    grid = Grid(board(), sampled(SPACE), 6, MODELS)
    assert len(list(reaching(grid, 1.0))) == 1


def test_a_board_without_limits_is_refused():
    made = board().model_copy(update={"limits": Limits(dsp=9)})
    with pytest.raises(UserError) as error:
        choose(made, SPACE, 6, MODELS)
    assert str(error.value) == (
        "a free engine needs a board with limits, and board 'made' has none of lut, ff, bram36:"
        " state them under [limits] in its file, or choose another board"
    )


def test_a_board_that_is_too_small():
    with pytest.raises(UserError) as error:
        choose(board(dsp=40), SPACE, 6, MODELS)
    assert str(error.value) == (
        "no calibrated engine with enough room fits board 'made', not even the smallest: dsp:"
        " 2 x 8 x 4 would need 48 of 40, 8 too many"
    )


def test_no_engine_beyond_the_calibration():
    """The fastest engine of the grid has 8 token lanes, and little storage is not known."""
    ranges = {"token_lanes": (2, 4), "norm_parts": (1, 1), "score_slots": (3, 4)}
    models = fitted_to(**ranges)
    found = choose(board(), SPACE, 6, models)
    for each in found.engines:
        assert models.resources.extrapolates(each.engine) == []
    assert choose(board(), SPACE, 6, MODELS).engines[0].engine.token_lanes == 8
    kept = [lanes for lanes in GRID if lanes.token_lanes < 8 and lanes.norm_parts == 1]
    assert (found.lanes, found.left_out) == (len(GRID), len(GRID) - len(kept))


def test_no_limit_binds_beyond_the_calibration():
    models = fitted_to(token_lanes=(2, 4))
    found = choose(board(dsp=150), SPACE, 6, models)
    assert found.excluded
    assert not any(models.resources.extrapolates(engine) for engine, _ in found.excluded)


def test_a_calibration_without_any_engine_of_the_grid():
    with pytest.raises(UserError) as error:
        choose(board(), SPACE, 6, fitted_to(token_lanes=(2, 8), act_bits=(4, 4)))
    assert str(error.value) == (
        "no free engine of act_bits 6 lies within the calibration of board 'made', whose engines"
        " have token_lanes 2..8, act_bits 4..4"
    )


def test_levels_within_a_calibration():
    levels = levels_within({"score_slots": (3, 4), "queue_depth": (8, 32), "row_lanes": (8, 8)})
    assert levels == LEVELS | {"score_slots": (3, 4), "queue_depth": (16, 32)}
    assert levels_within({"queue_depth": (32, 32)})["queue_depth"] == (32,)
    assert levels_within({}) == LEVELS


def test_a_board_that_is_not_calibrated():
    with pytest.raises(UserError, match=r"which is not calibrated: run python -m nas.calibrate "):
        CostModels.of(board())


def test_a_space_that_no_engine_can_run():
    wide = replace(SPACE, widths=(2048,))
    with pytest.raises(UserError, match=r"^width: 2,048 needed, 1,024 available"):
        choose(board(), wide, 6, MODELS)


def test_the_grid_has_every_kind_of_lanes():
    lanes = set(all_lanes())
    assert {Lanes(18, 32, 16, 1, 1), Lanes(2, 4, 4, 1, 1), Lanes(32, 64, 4, 16, 8)} <= lanes


@pytest.mark.parametrize("lanes", GRID[::3], ids=str)
def test_scratchpads_are_just_large_enough(lanes):
    """The largest subnet fits, and with a word less of what it cannot do without it does not."""
    space = SPACE.tiled(16)
    largest = space.shape(space.largest())
    engine = engine_for(lanes, LEAN, largest, board(), 6)
    plan(largest, engine)
    for name in ("residual_words", "key_words", "value_words"):
        with pytest.raises(UserError, match=name):
            plan(largest, replace(engine, **{name: getattr(engine, name) - 1}))
    roomy = engine_for(lanes, ROOMY, largest, board(), 6)
    assert roomy.weight_words == 4 * engine.weight_words
    assert roomy.activation_words >= engine.activation_words
