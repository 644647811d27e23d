"""The evolutionary search: NSGA-II over a space, for several frame rates, from one memory.

Objectives are the error on the search-validation pictures and what an image costs: its cycles, and
whatever else :mod:`nas.cost` counts. A target is a hard limit on cycles: candidates respect it from
birth. Each generation is a function of the population before it, the seed and its number, so a
search that was saved after any generation continues to the same result; nothing else needs to be
kept.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2, binary_tournament
from pymoo.core.duplicate import DefaultDuplicateElimination
from pymoo.core.infill import InfillCriterion
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.operators.selection.tournament import TournamentSelection

from nas.cost import Costs
from nas.search.evolution_state import EvolutionState, Genes, Score
from nas.space import Arch, Space

STEPS_AHEAD = 8  # lower choices that are costed at once, of a candidate that is too slow
ROUNDING = 1e-9  # of a tolerance's sum
Evaluate = Callable[[Arch], Score]


@dataclass(frozen=True)
class Goal:
    """What one search aims at: the most accurate subnet within a limit.

    Parameters
    ----------
    costs : Costs
        Objectives beside the error. Cycles per image: fast ones while searching, exact ones of
        those that may win.
    limit : float
        Most cycles per image. The smallest subnet must respect it.
    """

    costs: Costs
    limit: float


@dataclass(frozen=True)
class Candidate:
    """A subnet, how it answers, and what an image of it costs.

    Parameters
    ----------
    arch : Arch
    score : Score
    cycles : int
    costs : tuple of float
        The objectives beside the error, as :class:`nas.cost.Costs` names them.
    """

    arch: Arch
    score: Score
    cycles: int
    costs: tuple[float, ...] = ()


@dataclass(frozen=True)
class EvolutionConfig:
    """Size and chance of a search.

    Parameters
    ----------
    population : int
        Candidates that survive a generation.
    generations : int
        After the initial population.
    mutation_rate : float
        Probability with which each choice is redrawn.
    seed : int
    tolerance : float
        Error that a winner may have beyond the least, if it costs less.
    """

    population: int = 16
    generations: int = 10
    mutation_rate: float = 0.1
    seed: int = 0
    tolerance: float = 0.0


class Evolution:
    """The search for several targets, one after the other.

    Parameters
    ----------
    space : Space
    goals : sequence of Goal
        One for each target; those of several engines differ in costs.
    evaluate : callable
        The score of a subnet; called once for each.
    config : EvolutionConfig
    state : EvolutionState
        Continued from where it stands.
    """

    def __init__(
        self,
        space: Space,
        goals: Sequence[Goal],
        evaluate: Evaluate,
        config: EvolutionConfig,
        state: EvolutionState,
    ) -> None:
        self.space, self.goals, self.evaluate = space, goals, evaluate
        self.config, self.state = config, state

    def run(self, after_generation: Callable[[int], None]) -> None:
        """Search to the end.

        ``after_generation`` is called with the target's index after each generation (the initial
        population counts as one), when the state may be saved.
        """
        for target in range(len(self.goals)):
            if target == len(self.state.populations):
                population = self._initial(target)
                self._evaluate(population)
                self.state.populations.append(population)
                self.state.generations.append(0)
                after_generation(target)
            while self.state.generations[target] < self.config.generations:
                self.state.populations[target] = self._next_generation(target)
                self.state.generations[target] += 1
                after_generation(target)

    def candidates(self, target: int = 0) -> list[Candidate]:
        """Everything that was evaluated, for whichever target, in that order; a target's cycles."""
        return self._candidates(list(self.state.scores), target)

    def winner(self, target: int) -> Candidate:
        """Most accurate of all candidates that reach the target; among equals the cheapest.

        With a tolerance, all that hardly differ from the most accurate one are equals. The cheapest
        is lowest in the first objective beside the error, then in the next one. The winner's cycles
        are exact; so are those of the ones that only seemed to reach it.

        Raises
        ------
        ValueError
            If not even the smallest subnet reaches it.
        """
        goal = self.goals[target]
        near = [c for c in self.candidates(target) if c.cycles <= goal.limit]
        near.sort(key=lambda c: (c.score.error, c.costs, c.score.cross_entropy))
        best = next(self._reaching(near, goal), None)
        if best is None:
            return self._smallest(goal)
        most = best.score.error + self.config.tolerance + ROUNDING
        near = [c for c in near if c.score.error <= most]
        near.sort(key=lambda c: (c.costs, c.score.error, c.score.cross_entropy))
        return next(self._reaching(near, goal))

    def _reaching(self, candidates: Sequence[Candidate], goal: Goal) -> Iterator[Candidate]:
        """Those that are exactly within the limit, with exact cycles."""
        for candidate in candidates:
            cycles = goal.costs.exact(candidate.arch)
            if cycles <= goal.limit:
                yield replace(candidate, cycles=int(cycles))

    def _smallest(self, goal: Goal) -> Candidate:
        """The smallest subnet, which must be within the limit."""
        smallest = self.space.smallest()
        genes = tuple(int(gene) for gene in self.space.encode(smallest))
        cycles = goal.costs.exact(smallest)
        if cycles > goal.limit:
            raise ValueError(f"the smallest subnet takes {cycles:g} cycles, not {goal.limit:g}")
        self._evaluate([genes])
        costs = tuple(goal.costs.objectives(np.array([genes]))[0].tolist())
        return Candidate(smallest, self.state.scores[genes], int(cycles), costs)

    def _candidates(self, population: Sequence[Genes], target: int) -> list[Candidate]:
        of = self.goals[target].costs
        cycles, costs = of.cycles(np.array(population)), of.objectives(np.array(population))
        return [
            Candidate(self.space.decode(genes), self.state.scores[genes], int(value), tuple(more))
            for genes, value, more in zip(population, cycles, costs.tolist(), strict=True)
        ]

    def _evaluate(self, population: Sequence[Genes]) -> None:
        for genes in population:
            if genes not in self.state.scores:
                self.state.scores[genes] = self.evaluate(self.space.decode(genes))

    # --- one generation -----------------------------------------------------------------------

    def _initial(self, target: int) -> list[Genes]:
        """Draw distinct candidates, the largest possible ones among them."""
        rng = np.random.default_rng([self.config.seed, target, 0])
        size = self.config.population
        first = [self.space.largest(fraction) for fraction in self.space.fractions]
        drawn = dict.fromkeys(self._born(first, target, rng))
        for _ in range(20):
            if len(drawn) >= size:
                break
            more = [self.space.sample(rng) for _ in range(size)]
            drawn |= dict.fromkeys(self._born(more, target, rng))
        return list(drawn)[:size]

    def _next_generation(self, target: int) -> list[Genes]:
        """One step of NSGA-II from the population as it stands."""
        generation = self.state.generations[target] + 1
        seed = np.random.SeedSequence([self.config.seed, target, generation])
        parents = self.state.populations[target]
        # Annotated: pymoo takes evaluated individuals here, but its default's type says otherwise.
        initial: Any = self._population(parents, target)
        algorithm = NSGA2(
            pop_size=self.config.population,
            sampling=initial,
            mating=_Mating(lambda pairs, rng: self._children(pairs, target, rng)),
            termination=("n_gen", 3),
        )
        choices = np.array(self.space.gene_choices)
        objectives = initial.get("F").shape[1]
        problem = Problem(n_var=len(choices), n_obj=objectives, xl=0, xu=choices - 1, vtype=int)
        algorithm.setup(problem, seed=int(seed.generate_state(1)[0]))
        algorithm.tell(infills=algorithm.ask())
        children = algorithm.ask()
        if children is None:  # every subnet within reach is in the population
            return parents
        genes = [tuple(int(gene) for gene in x) for x in children.get("X")]
        self._evaluate(genes)
        algorithm.tell(infills=self._population(genes, target))
        return [tuple(int(gene) for gene in x) for x in algorithm.pop.get("X")]

    def _population(self, population: Sequence[Genes], target: int) -> Population:
        """Evaluated candidates as pymoo has them."""
        candidates = self._candidates(population, target)
        objectives = [(c.score.objective, *c.costs) for c in candidates]
        result = Population.new("X", np.array(population), "F", np.array(objectives))
        for individual in result:
            individual.evaluated = {"F"}
        return result

    def _children(
        self, pairs: Sequence[tuple[Genes, Genes]], target: int, rng: np.random.Generator
    ) -> list[Genes]:
        """A child of each pair, within the limits."""
        children = []
        for a, b in pairs:
            crossed = self.space.crossover(self.space.decode(a), self.space.decode(b), rng)
            children.append(self.space.mutate(crossed, rng, self.config.mutation_rate))
        return self._born(children, target, rng)

    def _born(self, archs: Sequence[Arch], target: int, rng: np.random.Generator) -> list[Genes]:
        """Lower choices at random, one step at a time, until the limits hold.

        The smallest subnet always stays: whether it reaches a target is known exactly.
        """
        goal = self.goals[target]
        genes = np.array([self.space.encode(arch) for arch in archs])
        slow = np.arange(len(genes))
        while len(slow):
            # Several steps ahead, as many are costed in about the time of one.
            paths = np.stack([self._lowered(genes[row], rng) for row in slow])
            cycles = goal.costs.cycles(paths.reshape(-1, paths.shape[-1]))
            within = (cycles.reshape(paths.shape[:2]) <= goal.limit) | ~paths.any(axis=-1)
            reached = within.any(axis=1)
            steps = np.where(reached, within.argmax(axis=1), STEPS_AHEAD)
            genes[slow] = paths[np.arange(len(slow)), steps]
            slow = slow[~reached]
        return [tuple(int(gene) for gene in row) for row in genes]

    def _lowered(self, genes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(1 + steps, genes): as they are, and one random choice lower with each step."""
        path = [genes]
        for _ in range(STEPS_AHEAD):
            lower = path[-1].copy()
            lowerable = np.flatnonzero(lower)
            if len(lowerable):
                lower[rng.choice(lowerable)] -= 1
                # A lower depth clears the blocks that are gone.
                lower = np.array(self.space.encode(self.space.decode(lower)))
            path.append(lower)
        return np.stack(path)


class _Mating(InfillCriterion):
    """Parents by binary tournament; children by a function of pairs of parents' genes."""

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
