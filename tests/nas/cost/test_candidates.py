"""Costs of the subnets of a space: exact ones, and a bound from below."""

from dataclasses import replace

import numpy as np
import pytest

from nas.cost import ExactCosts, HardwareTarget, SubnetCosts, calibration
from nas.cost.records import PowerModel
from nas.digits import DIGITS
from rtl.compiler import lower, plan
from rtl.errors import UserError
from rtl.timing.traffic import work_of

SIM = HardwareTarget.load("sim")
LARGE_PATCHES = replace(
    DIGITS, patch=14, widths=(32,), depths=(1, 2), heads=(1, 2), mlp_ratios=(1, 2)
)


def archs_of(space, count, seed=0):
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(count)]


@pytest.fixture
def exact(tmp_path) -> ExactCosts:
    return ExactCosts(folder=tmp_path)


def runs(hardware, shape) -> bool:
    try:
        plan(shape, hardware.engine)
    except UserError:
        return False
    return True


@pytest.mark.parametrize(
    ("space", "sizes"),
    [
        (DIGITS, {}),
        (DIGITS, {"weight_words": 48}),
        (DIGITS, {"activation_words": 40}),
        (DIGITS, {"residual_words": 16}),
        (LARGE_PATCHES, {"weight_words": 48}),  # for embeddings with 4-bit weights alone
    ],
    ids=["all fit", "weights", "activations", "residual", "embed"],
)
def test_what_the_engine_refuses_costs_infinitely_much(space, sizes, exact):
    hardware = replace(SIM, engine=replace(SIM.engine, **sizes))
    names = ("memory_bytes", "cycles")
    archs = archs_of(space, 30 if sizes else 5)
    fits = [runs(hardware, space.shape(arch)) for arch in archs]
    assert all(fits) == (not sizes)
    found = SubnetCosts(hardware, space, exact, objectives=names).of(archs)
    assert [np.isfinite(cost.cycles) for cost in found] == fits
    assert [np.isfinite(cost.objectives).tolist() for cost in found] == [[fit] * 2 for fit in fits]


def test_cycles_are_exact_and_depend_on_the_order_of_tiles(exact):
    (arch,) = archs_of(DIGITS, 1, seed=9)
    matrices = [
        "embed",
        "head",
        *(f"blocks.{i}.{n}" for i in range(4) for n in arch.blocks[0].bits8),
    ]
    order = {matrix: tuple(reversed(range(16))) for matrix in matrices}
    for order_of in ({}, order):
        (cost,) = SubnetCosts(SIM, DIGITS, exact, order_of).of([arch])
        assert cost.cycles == SIM.cycles(SIM.compile(DIGITS.shape(arch, order_of)))
        assert cost.objectives == (cost.cycles,)
    assert exact.computed == 2


def test_objectives_are_the_work_of_each_subnet(exact):
    names = ("memory_bytes", "cycles", "scratchpad_bytes", "array_cycles")
    archs = archs_of(DIGITS, 5)
    found = SubnetCosts(SIM, DIGITS, exact, objectives=names).of(archs)
    for arch, cost in zip(archs, found, strict=True):
        work = work_of(lower(plan(DIGITS.shape(arch), SIM.engine)))
        expected = work.bytes, cost.cycles, work.scratchpad_bytes, work.array_cycles
        assert cost.objectives == expected


def test_equal_subnets_are_computed_once(exact):
    """Also those whose genes differ: of one row tile, a half and all are the same."""
    arch = DIGITS.smallest()
    same = replace(arch, head_bits8=0.5), replace(arch, head_bits8=1.0)
    first, second = SubnetCosts(SIM, DIGITS, exact).of([*same, *same])[:2]
    assert first == second and exact.computed == 1


@pytest.mark.parametrize("board", ["sim", "ulx3s", "zcu102"])
def test_the_bound_is_never_above_the_exact_cycles(board, exact):
    hardware = HardwareTarget.load(board)
    space = DIGITS.tiled(hardware.engine.row_lanes)
    archs = [space.smallest(), space.largest(), *archs_of(space, 5, seed=3)]
    costs = SubnetCosts(hardware, space, exact)
    for arch, cost in zip(archs, costs.of(archs), strict=True):
        assert costs.least_cycles(arch) <= cost.cycles


def test_energy_is_an_objective_after_a_power_report(monkeypatch, exact):
    with pytest.raises(UserError, match="energy is uncalibrated on board 'sim': import a power"):
        SubnetCosts(SIM, DIGITS, exact, objectives=("energy_joules",))
    known = calibration.find(SIM.board)
    powered = known.model_copy(update={"power": PowerModel(joules_per_product=2e-12)})
    monkeypatch.setattr(calibration, "find", lambda board: powered)
    archs = archs_of(DIGITS, 3)
    found = SubnetCosts(SIM, DIGITS, exact, objectives=("energy_joules",)).of(archs)
    works = [work_of(lower(plan(DIGITS.shape(arch), SIM.engine))) for arch in archs]
    assert [cost.objectives[0] for cost in found] == pytest.approx(
        [2e-12 * work.products for work in works]
    )
