"""Evolutionary search: NSGA-II over a space of subnets, for several frame rates.

The objectives are the error on the search images and what an image costs: its cycles, and whatever
else :mod:`nas.cost.candidates` counts. A frame rate is a hard limit on cycles, which every
candidate meets before it is evaluated. All costs are exact.

A generation is a function of the population before it, the seed and its number. A search that was
saved after any generation therefore continues to the same result, and nothing else is saved.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2, binary_tournament
from pymoo.core.duplicate import DefaultDuplicateElimination
from pymoo.core.infill import InfillCriterion
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.operators.selection.tournament import TournamentSelection

from nas.cost import SubnetCosts
from nas.search.evolution_state import EvolutionState, Genes, Score
from nas.space import Arch, Space

ROUNDING = 1e-9  # tolerated in the sum of an error and the tolerance
Evaluate = Callable[[Arch], Score]


@dataclass(frozen=True)
class LatencyTarget:
    """A frame rate to reach on one engine.

    Parameters
    ----------
    costs : SubnetCosts
        Costs of subnets on that engine.
    most_cycles : float
        Most cycles per image at which the frame rate is reached.
    """

    costs: SubnetCosts
    most_cycles: float


@dataclass(frozen=True)
class Candidate:
    """A subnet that was evaluated, with its cost.

    Parameters
    ----------
    arch : Arch
    score : Score
    cycles : int
    objectives : tuple of float
        The objectives beside the error, as :class:`nas.cost.SubnetCost` holds them.
    """

    arch: Arch
    score: Score
    cycles: int
    objectives: tuple[float, ...] = ()


@dataclass(frozen=True)
class EvolutionConfig:
    """Population size, number of generations, mutation probability.

    Parameters
    ----------
    population : int
        Number of candidates that survive a generation.
    generations : int
        Number of generations after the initial population.
    mutation_rate : float
        Probability with which each choice of a child is drawn again.
    seed : int
    tolerance : float
        How much larger the error of a winner may be than the least one, to lower the objectives.
    """

    population: int = 16
    generations: int = 10
    mutation_rate: float = 0.1
    seed: int = 0
    tolerance: float = 0.0


class Evolution:
    """Search for each latency target, one after the other.

    Parameters
    ----------
    space : Space
    targets : sequence of LatencyTarget
        The smallest subnet must reach each of them.
    evaluate : callable
        Returns the score of a subnet; called once for each.
    config : EvolutionConfig
    state : EvolutionState
        The search continues from here, and changes it.
    """

    def __init__(
        self,
        space: Space,
        targets: Sequence[LatencyTarget],
        evaluate: Evaluate,
        config: EvolutionConfig,
        state: EvolutionState,
    ) -> None:
        self.space, self.targets, self.evaluate = space, targets, evaluate
        self.config, self.state = config, state

    def run(self, after_generation: Callable[[int], None]) -> None:
        """Search to the end.

        Parameters
        ----------
        after_generation : callable
            Called with the index of the target after each generation, the initial population
            included. The state may be saved then.
        """
        for index in range(len(self.targets)):
            if index == len(self.state.populations):
                population = self._initial(index)
                self._evaluate(population)
                self.state.populations.append(population)
                self.state.generations.append(0)
                after_generation(index)
            while self.state.generations[index] < self.config.generations:
                self.state.populations[index] = self._next_generation(index)
                self.state.generations[index] += 1
                after_generation(index)

    def candidates(self, index: int = 0) -> list[Candidate]:
        """Return all subnets that were evaluated for any target, in that order.

        Parameters
        ----------
        index : int
            The target whose engine the costs are of.
        """
        return self._candidates(list(self.state.scores), index)

    def winner(self, index: int) -> Candidate:
        """Return the most accurate candidate that reaches a target; among equals the cheapest.

        With a tolerance, all candidates within it of the most accurate one count as equal. The
        cheapest one is lowest in the first objective beside the error, then in the next one.

        Raises
        ------
        ValueError
            If no candidate reaches the target.
        """
        most_cycles = self.targets[index].most_cycles
        reaching = [each for each in self.candidates(index) if each.cycles <= most_cycles]
        if not reaching:
            raise ValueError(f"no subnet within {most_cycles:g} cycles")
        least_error = min(each.score.error for each in reaching)
        most_error = least_error + self.config.tolerance + ROUNDING
        near = [each for each in reaching if each.score.error <= most_error]
        return min(near, key=lambda c: (c.objectives, c.score.error, c.score.cross_entropy))

    def _candidates(self, population: Sequence[Genes], index: int) -> list[Candidate]:
        """Add the costs on the engine of a target; without the subnets that it refuses."""
        archs = [self.space.decode(genes) for genes in population]
        return [
            Candidate(arch, self.state.scores[genes], int(cost.cycles), cost.objectives)
            for genes, arch, cost in zip(
                population, archs, self.targets[index].costs.of(archs), strict=True
            )
            if cost.cycles < inf
        ]

    def _evaluate(self, population: Sequence[Genes]) -> None:
        """Score the subnets that have no score yet."""
        for genes in population:
            if genes not in self.state.scores:
                self.state.scores[genes] = self.evaluate(self.space.decode(genes))

    # --- one generation -----------------------------------------------------------------------

    def _initial(self, index: int) -> list[Genes]:
        """Draw distinct candidates; the first ones are the largest subnets, repaired."""
        rng = np.random.default_rng([self.config.seed, index, 0])
        size = self.config.population
        first = [self.space.largest(fraction) for fraction in self.space.fractions]
        drawn = dict.fromkeys(self._repaired(first, index, rng))
        for _ in range(20):
            if len(drawn) >= size:
                break
            more = [self.space.sample(rng) for _ in range(size)]
            drawn |= dict.fromkeys(self._repaired(more, index, rng))
        return list(drawn)[:size]

    def _next_generation(self, index: int) -> list[Genes]:
        """Make one step of NSGA-II from the population of a target."""
        generation = self.state.generations[index] + 1
        seed = np.random.SeedSequence([self.config.seed, index, generation])
        parents = self.state.populations[index]
        # Annotated: pymoo takes evaluated individuals here, but its default's type says otherwise.
        initial: Any = self._population(parents, index)
        algorithm = NSGA2(
            pop_size=self.config.population,
            sampling=initial,
            mating=_Mating(lambda pairs, rng: self._children(pairs, index, rng)),
            termination=("n_gen", 3),
        )
        choices = np.array(self.space.gene_choices)
        count = initial.get("F").shape[1]
        problem = Problem(n_var=len(choices), n_obj=count, xl=0, xu=choices - 1, vtype=int)
        algorithm.setup(problem, seed=int(seed.generate_state(1)[0]))
        algorithm.tell(infills=algorithm.ask())
        children = algorithm.ask()
        if children is None:  # every subnet within reach is in the population
            return parents
        genes = [tuple(int(gene) for gene in x) for x in children.get("X")]
        self._evaluate(genes)
        algorithm.tell(infills=self._population(genes, index))
        return [tuple(int(gene) for gene in x) for x in algorithm.pop.get("X")]

    def _population(self, population: Sequence[Genes], index: int) -> Population:
        """Wrap evaluated candidates for pymoo."""
        candidates = self._candidates(population, index)
        objectives = [(c.score.objective, *c.objectives) for c in candidates]
        result = Population.new("X", np.array(population), "F", np.array(objectives))
        for individual in result:
            individual.evaluated = {"F"}
        return result

    def _children(
        self, pairs: Sequence[tuple[Genes, Genes]], index: int, rng: np.random.Generator
    ) -> list[Genes]:
        """Return a repaired child of each pair."""
        children = []
        for a, b in pairs:
            crossed = self.space.crossover(self.space.decode(a), self.space.decode(b), rng)
            children.append(self.space.mutate(crossed, rng, self.config.mutation_rate))
        return self._repaired(children, index, rng)

    def _repaired(self, archs: Sequence[Arch], index: int, rng: np.random.Generator) -> list[Genes]:
        """Lower random genes of each candidate, one step at a time, until it reaches the target."""
        genes = [self.space.encode(arch) for arch in archs]
        slow = self._too_slow(genes, range(len(genes)), index)
        while slow:
            for place in slow:
                genes[place] = self._lowered(genes[place], rng)
            slow = self._too_slow(genes, slow, index)
        return [tuple(int(gene) for gene in row) for row in genes]

    def _too_slow(
        self, genes: Sequence[np.ndarray], places: Sequence[int], index: int
    ) -> list[int]:
        """Return the places of candidates that miss the target and can be lowered further.

        The exact cost is computed only where the lower bound leaves it open.
        """
        target = self.targets[index]
        archs = {place: self.space.decode(genes[place]) for place in places if genes[place].any()}
        open_places = [
            place
            for place, arch in archs.items()
            if target.costs.least_cycles(arch) <= target.most_cycles
        ]
        costs = target.costs.of([archs[place] for place in open_places])
        for place, cost in zip(open_places, costs, strict=True):
            if cost.cycles <= target.most_cycles:
                del archs[place]
        return list(archs)

    def _lowered(self, genes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Lower one random gene by a step; blocks beyond a lower depth are cleared."""
        lower = genes.copy()
        lower[rng.choice(np.flatnonzero(genes))] -= 1
        return self.space.encode(self.space.decode(lower))


class _Mating(InfillCriterion):
    """Select parents by binary tournament; a function makes children of pairs of their genes."""

    def __init__(
        self, children: Callable[[Sequence[tuple[Any, Any]], np.random.Generator], list[Genes]]
    ) -> None:
        super().__init__(eliminate_duplicates=DefaultDuplicateElimination(), n_max_iterations=20)
        self.children = children
        self.select = TournamentSelection(func_comp=binary_tournament)

    def _do(
        self, problem: Any, pop: Any, n_offsprings: int, random_state: Any = None, **kwargs: Any
    ) -> Population:
        pairs = self.select(
            problem, pop, n_offsprings, 2, to_pop=False, random_state=random_state, **kwargs
        )
        genes = self.children([(pop[a].X, pop[b].X) for a, b in pairs], random_state)
        return Population.new("X", np.array(genes))
