"""Subnets spread over the cycles: an equal share of all subnets lies between any two."""

import numpy as np

from nas.cost import ExactCosts, HardwareTarget, SubnetCosts
from nas.digits import DIGITS
from nas.studies.spread import spread_by_cycles


def test_subnets_are_spread_over_the_cycles():
    costs = SubnetCosts(HardwareTarget.load("sim"), DIGITS, ExactCosts())
    chosen = spread_by_cycles(costs, 4, seed=0)
    cycles = [each for _, each in chosen]
    assert cycles == sorted(cycles) and cycles == [
        c.cycles for c in costs.of([a for a, _ in chosen])
    ]
    rng = np.random.default_rng(1)
    others = sorted(c.cycles for c in costs.of([DIGITS.sample(rng) for _ in range(160)]))
    shares = np.searchsorted(others, cycles) / 160
    np.testing.assert_allclose(shares, [0.125, 0.375, 0.625, 0.875], atol=0.1)
    assert spread_by_cycles(costs, 4, seed=0) == chosen != spread_by_cycles(costs, 4, 1)
