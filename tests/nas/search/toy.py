"""A search without a supernet: cycles and scores by formulas of the digits' archs."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from nas.cost import SubnetCost, SubnetCosts
from nas.digits import DIGITS
from nas.search.band import Band
from nas.search.evolution import Evolution, EvolutionConfig
from nas.search.evolution_state import Evaluate, EvolutionState, Score
from nas.space import Arch

LIMITS = (3000.0, 1500.0, 600.0)
CONFIG = EvolutionConfig(population=8, generations=4, seed=3)


def cycles(arch: Arch) -> int:
    """A timing model fast enough for a test: grows with every choice."""
    per_block = [
        (block.heads * 16 * (4 + sum(list(block.bits8.values())[:4]))
         + block.mlp_ratio * arch.width * (2 + sum(list(block.bits8.values())[4:]))) * arch.width
        for block in arch.blocks
    ]  # fmt: skip
    embed = 64 * arch.width * (1 + arch.embed_bits8) + 10 * arch.width * (1 + arch.head_bits8)
    return 100 + int((sum(per_block) + embed) / 64)


def ripple(arch: Arch, seed: int = 0) -> float:
    """A number from 0 to 1 by chance, the same for equal archs."""
    return np.random.default_rng([*DIGITS.encode(arch), seed]).random()


def score(arch: Arch) -> Score:
    """More blocks and hidden units, fewer errors; 8-bit rows bring nothing."""
    hidden = sum(block.mlp_ratio * block.heads for block in arch.blocks) * arch.width
    loss = 10 / hidden**0.5 + 0.02 * ripple(arch)
    return Score(round(loss / 2, 3), loss)


class GivenCosts(SubnetCosts):
    """Costs by functions of an arch; counts how many archs were asked for."""

    def __init__(
        self,
        exact: Callable[[Arch], float],
        bound: Callable[[Arch], float] | None = None,
        more: Sequence[Callable[[Arch], float]] = (),
    ) -> None:
        self.exact, self.bound, self.more = exact, bound or exact, more
        self.asked: list[Arch] = []

    def of(self, archs: Sequence[Arch]) -> list[SubnetCost]:
        self.asked += archs
        return [
            SubnetCost(self.exact(arch), (*(f(arch) for f in self.more), float(self.exact(arch))))
            for arch in archs
        ]

    def least_cycles(self, arch: Arch) -> float:
        return self.bound(arch)


EXACT = GivenCosts(cycles)


def each(evaluate: Callable[[Arch], Score]) -> Evaluate:
    """Evaluate subnets one by one."""
    return lambda archs: list(map(evaluate, archs))


def search(
    state: EvolutionState | None = None,
    evaluate: Callable[[Arch], Score] = score,
    limits: Iterable[float] = LIMITS,
    after: Callable[[EvolutionState], None] = lambda state: None,
    config: EvolutionConfig = CONFIG,
    costs: SubnetCosts = EXACT,
    narrow: bool = True,
) -> Evolution:
    """Search for every limit."""
    bands = [Band(DIGITS, costs, limit, narrow) for limit in limits]
    evolution = Evolution(DIGITS, bands, each(evaluate), config, state or EvolutionState({}))
    for index in range(len(bands)):
        evolution.run(index, lambda: after(evolution.state))
    return evolution
