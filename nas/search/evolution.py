"""Evolutionary search over a space of subnets, for several frame rates.

A frame rate is a hard limit on cycles. Candidates lie in the band just below it
(:mod:`nas.search.band`), where accuracy is: a subnet that takes fewer cycles than it may has given
something away. The first generation is what a good engineer would try, the largest uniform subnets
that fit. Later ones are mutations of the survivors, stepped back into the band: genes that cost
cycles and show no gain are lowered first, those that gain are raised first. What survives has the
least cross-entropy on the search images or, with objectives that draw away from the limit, is
chosen by NSGA-II. All costs are exact.

As many subnets as a search has evaluated are drawn at random from the same band, for comparison.

A generation is a function of what was found before it, the seed and its number. A search that was
saved after any generation therefore continues to the same result, and nothing else is saved.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from math import inf

import numpy as np
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

from nas.search.band import Band
from nas.search.evolution_state import (
    Evaluate,
    EvolutionState,
    Genes,
    Score,
    TargetState,
    add_scores,
)
from nas.search.trend import Trend
from nas.space import Arch, Space

UNIFORM = 16  # uniform subnets of the first generation
POOL = 8  # children that are made for each that is evaluated
TOURNAMENT = 3  # genes of which the one with the best trend takes a step
CROSSOVER = 0.5  # probability that a child has two parents
RANDOM_DRAWS = 1 << 16  # as the number of a generation: seeds the random subnets


@dataclass(frozen=True)
class Candidate:
    """A subnet that was evaluated, with its cost.

    Parameters
    ----------
    arch : Arch
    score : Score
        On the search images.
    cycles : int
    objectives : tuple of float
        The objectives beside the cross-entropy, as :class:`nas.cost.SubnetCost` holds them.
    reranked : Score or None
        On the re-ranking images; None unless the subnet was on a short list.
    """

    arch: Arch
    score: Score
    cycles: int
    objectives: tuple[float, ...] = ()
    reranked: Score | None = None


@dataclass(frozen=True)
class EvolutionConfig:
    """Population size, number of generations, mutation probability.

    Parameters
    ----------
    population : int
        Number of candidates that survive a generation, and of children in the next one.
    generations : int
        Number of generations after the first one.
    mutation_rate : float
        Probability with which each choice of a child is drawn again.
    seed : int
    """

    population: int = 16
    generations: int = 10
    mutation_rate: float = 0.1
    seed: int = 0


class Evolution:
    """Search for each target, one after the other.

    Parameters
    ----------
    space : Space
    bands : sequence of Band
        The target of each search; the smallest subnet must reach it.
    evaluate : callable
        Returns the scores of subnets on the search images; each is asked for once.
    config : EvolutionConfig
    state : EvolutionState
        The search continues from here, and changes it.
    """

    def __init__(
        self,
        space: Space,
        bands: Sequence[Band],
        evaluate: Evaluate,
        config: EvolutionConfig,
        state: EvolutionState,
    ) -> None:
        self.space, self.bands, self.evaluate = space, bands, evaluate
        self.config, self.state = config, state

    def run(self, index: int, after_generation: Callable[[], None]) -> None:
        """Search for a target to the end.

        Parameters
        ----------
        index : int
            Place of the target; those before it have been searched for.
        after_generation : callable
            Called after each generation, the first one and the random draws included. The state
            may be saved then.

        Raises
        ------
        ValueError
            If no subnet reaches the target.
        """
        if index == len(self.state.targets):
            self.state.targets.append(self._first_generation(index))
            after_generation()
        target = self.state.targets[index]
        while target.generations < self.config.generations:
            self._next_generation(index, target)
            after_generation()
        if not target.drawn:
            rng = np.random.default_rng([self.config.seed, index, RANDOM_DRAWS])
            drawn = self.bands[index].draw(len(target.found), rng)
            self._evaluate(drawn)
            target.drawn = drawn
            after_generation()

    def candidates(self, population: Iterable[Genes], index: int) -> list[Candidate]:
        """Return subnets with their costs on the engine of a target, but those that it refuses."""
        population = list(population)
        archs = [self.space.decode(genes) for genes in population]
        costs = self.bands[index].costs.of(archs)
        scores, reranked = self.state.scores, self.state.reranked
        return [
            Candidate(arch, scores[genes], int(cost.cycles), cost.objectives, reranked.get(genes))
            for genes, arch, cost in zip(population, archs, costs, strict=True)
            if cost.cycles < inf
        ]

    # --- one generation -----------------------------------------------------------------------

    def _first_generation(self, index: int) -> TargetState:
        """Evaluate the largest uniform subnets; random ones fill the population up."""
        band, size = self.bands[index], self.config.population
        rng = np.random.default_rng([self.config.seed, index, 0])
        first = band.uniform(UNIFORM)
        if len(first) < size:
            more = [genes for genes in band.draw(size, rng) if genes not in first]
            first += more[: size - len(first)]
        if not first:
            raise ValueError(f"no subnet within {band.limit:g} cycles")
        self._evaluate(first)
        return TargetState(first, self._survivors(first, index, rng))

    def _next_generation(self, index: int, target: TargetState) -> None:
        """Evaluate children of the population, and let the best of all survive."""
        generation = target.generations + 1
        rng = np.random.default_rng([self.config.seed, index, generation])
        children = self._children(index, target, rng)
        self._evaluate(children)
        target.found += children
        target.population = self._survivors(target.population + children, index, rng)
        target.generations = generation

    def _evaluate(self, population: Iterable[Genes]) -> None:
        """Score the subnets that have no score yet."""
        add_scores(self.state.scores, population, self.space, self.evaluate)

    def _survivors(
        self, population: Sequence[Genes], index: int, rng: np.random.Generator
    ) -> list[Genes]:
        """Select by cross-entropy in a narrow band, else by NSGA-II; the best come first."""
        size = self.config.population
        if self.bands[index].narrow:
            return sorted(population, key=lambda genes: self.state.scores[genes].cross_entropy)[
                :size
            ]
        candidates = self.candidates(population, index)
        values = np.array([(c.score.cross_entropy, *c.objectives) for c in candidates])
        chosen = RankAndCrowding().do(
            Problem(n_var=1, n_obj=values.shape[1]),
            Population.new("X", np.arange(len(values)), "F", values),
            n_survive=min(size, len(values)),
            random_state=rng,
        )
        return [population[int(place)] for place in chosen.get("X")]

    def _children(self, index: int, target: TargetState, rng: np.random.Generator) -> list[Genes]:
        """Make new subnets of the band from survivors, those of the best trend."""
        band, parents, size = self.bands[index], target.population, self.config.population
        looseness = {genes: band.looseness(genes) for genes in parents}
        scores = [self.state.scores[genes].cross_entropy for genes in target.found]
        trend = Trend(target.found, scores)

        def choose(genes: np.ndarray, step: int) -> int:
            some = rng.choice(genes, TOURNAMENT)
            return int(some[np.argmin(step * trend.steps[some])])

        known, pool = set(target.found), {}
        for _ in range(POOL * size):
            # Of two survivors the one that comes first is the better one.
            first, second = (parents[min(rng.integers(len(parents), size=2))] for _ in range(2))
            arch = self.space.decode(first)
            if rng.random() < CROSSOVER:
                arch = self.space.crossover(arch, self.space.decode(second), rng)
            arch = self.space.mutate(arch, rng, self.config.mutation_rate)
            child = band.step_into(arch, looseness[first], choose)
            if child not in known:
                pool[child] = trend(child)
        return list(islice(band.inside(sorted(pool, key=pool.__getitem__)), size))
