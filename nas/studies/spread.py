"""Subnets that are spread evenly over the cycles that a space's subnets take."""

import numpy as np

from nas.cost import SubnetCosts
from nas.space import Arch

DRAWN_PER_SUBNET = 40  # random subnets, of which one is taken


def spread_by_cycles(costs: SubnetCosts, count: int, seed: int) -> list[tuple[Arch, int]]:
    """Choose subnets evenly over the distribution of cycles, the fastest first, with their cycles.

    Of random subnets in the order of their cycles, ``count`` parts of equal size are made, and the
    middle one of each part is taken.
    """
    rng = np.random.default_rng([seed, 6])
    drawn = [costs.space.sample(rng) for _ in range(count * DRAWN_PER_SUBNET)]
    cycles = [cost.cycles for cost in costs.of(drawn)]
    order = np.argsort(cycles, kind="stable")
    middles = order[DRAWN_PER_SUBNET // 2 :: DRAWN_PER_SUBNET]
    return [(drawn[i], int(cycles[i])) for i in middles]
