"""Band of cycles just below the limit of a frame rate, and the subnets that lie in it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice

import numpy as np

from nas.cost import SubnetCosts
from nas.search.evolution_state import Genes
from nas.search.trend import Trend
from nas.space import Arch, Space

WIDTH = 0.1  # of a band, as a fraction of its upper end
DRAWS = 50  # random subnets for each that is wanted, before steps help
MARGIN = 0.12  # of estimated cycles; the digits' subnets in the bands of TINY miss by less
BATCH = 4  # subnets that are costed at a time, so hardly more than are wanted

Choose = Callable[[np.ndarray, int], int]
"""Picks one of several genes, given by their positions, to change by a step of +1 or -1."""


@dataclass(frozen=True)
class Band:
    """Cycles that candidates for one frame rate may take on one engine.

    Parameters
    ----------
    space : Space
    costs : SubnetCosts
        Costs of subnets on that engine.
    limit : float
        Most cycles per image at which the frame rate is reached.
    narrow : bool
        Whether only the tenth below the limit belongs to it. Otherwise the band begins at 0, for
        objectives that draw away from the limit.
    """

    space: Space
    costs: SubnetCosts
    limit: float
    narrow: bool = True

    @cached_property
    def lowest(self) -> float:
        """Fewest cycles in the band.

        Where no subnet is as slow as the limit, the band ends at the slowest uniform one.
        """
        slowest = max((cycles for _, cycles in self._uniform), default=0.0)
        return (1 - WIDTH) * slowest if self.narrow else 0.0

    def near_limit(self, cycles: float) -> bool:
        """Tell whether cycles lie within 10 % below the limit."""
        return (1 - WIDTH) * self.limit <= cycles <= self.limit

    def uniform(self, count: int) -> list[Genes]:
        """Return the uniform subnets with the most cycles that reach the frame rate."""
        return [genes for genes, _ in self._uniform[:count]]

    def draw(self, count: int, rng: np.random.Generator) -> list[Genes]:
        """Draw distinct subnets of the band, each choice uniformly.

        Where such a draw hardly ever lies in the band, random steps lead it there. Where the band
        hardly has any subnets, there are fewer than ``count``, but at least the slowest uniform
        one.
        """
        first = self.uniform(1)
        if not first:
            return []

        def choose(genes: np.ndarray, step: int) -> int:
            return int(rng.choice(genes))

        looseness = self.looseness(*first)
        sampled = (self.space.sample(rng) for _ in range(DRAWS * count))
        stepped = (
            self.step_into(self.space.sample(rng), looseness, choose) for _ in range(2 * count)
        )
        found: dict[Genes, None] = {}
        for genes in self.inside(chain(map(self._genes, sampled), stepped)):
            if len(found) == count:
                break
            found[genes] = None
        return list(found) or first

    def inside(self, candidates: Iterable[Genes]) -> Iterator[Genes]:
        """Yield the subnets that lie in the band, by their exact costs.

        The exact cost is computed only where the lower bound and an estimate leave it open.
        """
        bounded = (genes for genes in candidates if self._open(genes))
        while batch := list(islice(bounded, BATCH)):
            for genes, cycles in zip(batch, self._cycles(batch), strict=True):
                if self.lowest <= cycles <= self.limit:
                    yield genes

    def looseness(self, genes: Genes) -> float:
        """Return the exact cycles of a subnet over their lower bound."""
        return self._cycles([genes])[0] / self.costs.least_cycles(self.space.decode(genes))

    def step_into(self, arch: Arch, looseness: float, choose: Choose) -> Genes:
        """Raise or lower genes by a step at a time until the cycles seem to lie in the band.

        Parameters
        ----------
        arch : Arch
        looseness : float
            Cycles over their lower bound, of a subnet like this one.
        choose : callable
        """
        genes = self.space.encode(arch)
        for _ in range(2 * sum(self.space.gene_choices)):
            arch = self.space.decode(genes)
            cycles = looseness * self.costs.least_cycles(arch)
            if self.lowest <= cycles <= self.limit:
                break
            step = -1 if cycles > self.limit else 1
            movable = self._movable(genes, arch.depth, step)
            if not len(movable):
                break
            genes[choose(movable, step)] += step
            # Genes of blocks beyond a lower depth are cleared.
            genes = self.space.encode(self.space.decode(genes))
        return tuple(int(gene) for gene in genes)

    @cached_property
    def _uniform(self) -> list[tuple[Genes, float]]:
        """All uniform subnets that reach the frame rate with their cycles, the slowest first."""
        archs = [
            arch for arch in self.space.uniform() if self.costs.least_cycles(arch) <= self.limit
        ]
        genes = [self._genes(arch) for arch in archs]
        costed = zip(genes, self._cycles(genes), strict=True)
        return sorted((each for each in costed if each[1] <= self.limit), key=lambda each: -each[1])

    @cached_property
    def _excess(self) -> Trend:
        """Trend of the exact cycles over their lower bound, of the uniform subnets that fit."""
        genes, cycles = zip(*self._uniform, strict=True)
        bounds = [self.costs.least_cycles(self.space.decode(each)) for each in genes]
        return Trend(genes, np.subtract(cycles, bounds))

    def _movable(self, genes: np.ndarray, depth: int, step: int) -> np.ndarray:
        """Return the positions of the genes of present blocks that can take a step."""
        active = self.space.active_genes(depth)
        ends = np.array(self.space.gene_choices)[active] - 1 if step > 0 else 0
        return active[genes[active] != ends]

    def _open(self, genes: Genes) -> bool:
        """Tell whether a subnet may lie in the band, by its lower bound and an estimate."""
        bound = self.costs.least_cycles(self.space.decode(genes))
        if bound > self.limit or not self._uniform:
            return False
        estimate = bound + self._excess(genes)
        return self.lowest <= (1 + MARGIN) * estimate and (1 - MARGIN) * estimate <= self.limit

    def _cycles(self, candidates: Iterable[Genes]) -> list[float]:
        archs = [self.space.decode(genes) for genes in candidates]
        return [cost.cycles for cost in self.costs.of(archs)]

    def _genes(self, arch: Arch) -> Genes:
        return tuple(int(gene) for gene in self.space.encode(arch))
