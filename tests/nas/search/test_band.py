"""The band below a limit: what lies in it, what is drawn from it, what is stepped into it."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from nas.cost import ExactCosts, HardwareTarget, SubnetCosts
from nas.digits import DIGITS, KEEPING_DIGITS
from nas.search.band import DRAWS, Band
from nas.space import NETWORK_GENES, Arch
from tests.nas.search.toy import EXACT, GivenCosts, cycles


def band(limit: float = 1500.0, narrow: bool = True, costs: GivenCosts = EXACT) -> Band:
    return Band(DIGITS, costs, limit, narrow)


def cycles_of(drawn) -> list[int]:
    return [cycles(DIGITS.decode(genes)) for genes in drawn]


def first(genes: np.ndarray, step: int) -> int:
    return int(genes[0])


def test_the_largest_uniform_subnets_that_fit():
    found = band().uniform(16)
    fitting = sorted((c for c in map(cycles, DIGITS.uniform()) if c <= 1500), reverse=True)
    assert cycles_of(found) == fitting[:16]
    archs = [DIGITS.decode(genes) for genes in found]
    assert all(len(set(arch.blocks)) == 1 for arch in archs)
    assert all(set(arch.blocks[0].bits8.values()) == {arch.head_bits8} for arch in archs)


def test_draws_lie_in_the_band_and_differ():
    drawn = band().draw(40, np.random.default_rng(0))
    assert len(set(drawn)) == len(drawn) == 40
    assert all(0.89 * 1500 < each <= 1500 for each in cycles_of(drawn))
    assert drawn == band().draw(40, np.random.default_rng(0))


def test_draws_are_those_of_a_uniform_sample():
    """Not of steps, which would favour the genes that there are most of."""
    rng, lowest = np.random.default_rng(1), band().lowest
    sample = [DIGITS.sample(rng) for _ in range(4000)]
    inside = [arch.width for arch in sample if lowest <= cycles(arch) <= 1500]
    drawn = [DIGITS.decode(genes).width for genes in band().draw(200, np.random.default_rng(2))]
    assert np.mean(drawn) == pytest.approx(np.mean(inside), abs=2.5)


def test_a_wide_band_begins_at_nothing():
    assert band(narrow=False).lowest == 0
    drawn = cycles_of(band(narrow=False).draw(40, np.random.default_rng(0)))
    assert min(drawn) < 1000 and max(drawn) <= 1500


def test_a_limit_beyond_the_largest_subnet():
    """The band then ends at the largest one."""
    far = band(1e6)
    largest = cycles(DIGITS.largest())
    assert far.lowest == pytest.approx(0.9 * largest)
    assert far.uniform(1) == [tuple(DIGITS.encode(DIGITS.largest()))]
    assert not far.near_limit(largest)


def test_a_limit_that_only_the_smallest_subnet_reaches():
    """Draws come to an end, with what there is."""
    limit = float(cycles(DIGITS.smallest()))
    assert band(limit).draw(3, np.random.default_rng(0)) == [(0,) * len(DIGITS.gene_choices)]


def test_a_limit_that_no_subnet_reaches():
    assert band(10.0).uniform(16) == band(10.0).draw(3, np.random.default_rng(0)) == []


def test_near_the_limit():
    near = [band(1000.0).near_limit(each) for each in (899, 900, 1000, 1001)]
    assert near == [False, True, True, False]


@pytest.mark.parametrize("arch", [DIGITS.smallest(), DIGITS.largest()])
def test_steps_lead_into_the_band(arch):
    rng = np.random.default_rng(0)
    ends = [band().step_into(arch, 1.0, lambda genes, _: int(rng.choice(genes))) for _ in range(9)]
    assert len(set(ends)) > 1
    assert all(band().lowest <= each <= 1500 for each in cycles_of(ends))


def test_steps_go_by_the_bound_and_how_loose_it_is():
    loose = band(costs=GivenCosts(cycles, bound=lambda arch: cycles(arch) / 2))
    genes = tuple(int(gene) for gene in DIGITS.encode(DIGITS.largest()))
    assert loose.looseness(genes) == pytest.approx(2, abs=0.01)
    stepped = loose.step_into(DIGITS.largest(), 2.0, first)
    assert stepped == band().step_into(DIGITS.largest(), 1.0, first)
    loose.costs.asked.clear()
    loose.step_into(DIGITS.largest(), 2.0, first)
    assert not loose.costs.asked


def test_the_bound_spares_costs():
    costs = GivenCosts(cycles, bound=lambda arch: 0.9 * cycles(arch))
    drawn = band(costs=costs).draw(40, np.random.default_rng(0))
    assert drawn == band().draw(40, np.random.default_rng(0))
    assert len(costs.asked) < 40 * DRAWS / 4


def test_what_the_engine_refuses_is_never_drawn():
    costs = GivenCosts(lambda arch: inf if arch.width == 64 else cycles(arch), bound=cycles)
    found = band(costs=costs)
    both = [*found.draw(20, np.random.default_rng(0)), *found.uniform(16)]
    assert {DIGITS.decode(genes).width for genes in both} == {32, 48}


def test_a_space_with_one_subnet():
    single = replace(
        DIGITS, widths=(32,), depths=(2,), heads=(2,), mlp_ratios=(2,), fractions=(0.0,)
    )
    alone = Band(single, EXACT, 1e9)
    only = tuple(single.encode(single.smallest()))
    assert alone.uniform(16) == alone.draw(4, np.random.default_rng(0)) == [only]
    assert alone.step_into(single.smallest(), 1.0, first) == only


def test_steps_choose_the_patches_that_blocks_keep_but_not_the_last_ones():
    space, offered = KEEPING_DIGITS, set()
    last = NETWORK_GENES + space.block_genes * space.depths[-1] - 1

    def costs(arch: Arch) -> int:
        return cycles(arch) + sum(int(block.keep or space.patches) for block in arch.blocks)

    def choose(genes: np.ndarray, step: int) -> int:
        offered.update(genes.tolist())
        return last - space.block_genes  # the keep of the last block but one

    below = Band(space, GivenCosts(costs), costs(space.largest()) - 20, narrow=False)
    stepped = below.step_into(space.largest(), 1.0, choose)
    keeps = [block.keep for block in space.decode(stepped).blocks]
    assert keeps == [None, None, 23, None]
    assert offered == set(range(last))


@pytest.mark.parametrize("fps", [9100, 16000, 26000])
def test_the_estimate_loses_none_of_the_band(fps, tmp_path):
    """On the engine TINY, whose exact costs are 1.1 to 1.9 times their lower bounds."""
    hardware = HardwareTarget.load("sim")
    space = DIGITS.tiled(hardware.engine.row_lanes)
    costs = SubnetCosts(hardware, space, ExactCosts(folder=tmp_path))
    real = Band(space, costs, hardware.cycle_limit(fps))
    rng = np.random.default_rng(3)
    archs = [space.sample(rng) for _ in range(200)]
    inside = [
        tuple(int(gene) for gene in space.encode(arch))
        for arch, cost in zip(archs, costs.of(archs), strict=True)
        if real.lowest <= cost.cycles <= real.limit
    ]
    drawn = [tuple(int(gene) for gene in space.encode(arch)) for arch in archs]
    assert list(real.inside(drawn)) == inside and len(inside) > 4
