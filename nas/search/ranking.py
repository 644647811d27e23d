"""Winner of a target, and the baselines that it is compared with, on images that no search saw.

Of what a search found, the best by the search images make a short list; its best on the re-ranking
images wins. Two baselines go the same way: the uniform subnets of the first generation, which are
on the winner's short list as well, and random draws, as many as the search evaluated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.search.evolution import UNIFORM, Candidate, Evolution
from nas.search.evolution_state import Evaluate, Genes, add_scores

SHORTLIST = 16
ROUNDING = 1e-9  # tolerated in the sum of an error and the tolerance


@dataclass(frozen=True)
class Pick:
    """The best of some subnets.

    Parameters
    ----------
    candidate : Candidate
    evaluations : int
        Number of subnets that it was chosen from.
    """

    candidate: Candidate
    evaluations: int

    @property
    def loss(self) -> float:
        """Cross-entropy on the re-ranking images, in nats."""
        assert self.candidate.reranked is not None
        return self.candidate.reranked.cross_entropy


@dataclass(frozen=True)
class Outcome:
    """Winner of a target beside its baselines.

    Parameters
    ----------
    winner : Pick
    uniform : Pick
        Of the largest uniform subnets that fit.
    random : Pick
        Of subnets that were drawn from the same band.
    in_band : float
        Share of the search's subnets within 10 % below the limit.
    """

    winner: Pick
    uniform: Pick
    random: Pick
    in_band: float


class Ranking:
    """Choice of winner and baselines after a search.

    Parameters
    ----------
    evolution : Evolution
        Finished for the targets that are ranked.
    rerank : callable
        Returns the scores of subnets on the re-ranking images; each is asked for once.
    tolerance : float
        How much larger the error of a pick may be than that of the best, to lower the objectives.
    """

    def __init__(self, evolution: Evolution, rerank: Evaluate, tolerance: float = 0.0) -> None:
        self.evolution, self.rerank, self.tolerance = evolution, rerank, tolerance

    def outcome(self, index: int) -> Outcome:
        """Rank what was found for a target."""
        target, band = self.evolution.state.targets[index], self.evolution.bands[index]
        uniform = band.uniform(UNIFORM)
        cycles = [each.cycles for each in self.evolution.candidates(target.found, index)]
        return Outcome(
            self._pick(target.found, index, also=uniform),
            self._pick(uniform, index),
            self._pick(target.drawn, index),
            float(np.mean([band.near_limit(each) for each in cycles])),
        )

    def _pick(self, pool: Sequence[Genes], index: int, also: Sequence[Genes] = ()) -> Pick:
        listed = list(dict.fromkeys([*self._shortlist(pool, index), *also]))
        reranked = self.evolution.state.reranked
        add_scores(reranked, listed, self.evolution.space, self.rerank)
        candidates = self.evolution.candidates(listed, index)

        def rank(candidate: Candidate) -> tuple[float, tuple[float, ...]]:
            assert candidate.reranked is not None
            return candidate.reranked.cross_entropy, candidate.objectives

        best = min(candidates, key=rank)
        if self.tolerance:
            most = best.reranked.error + self.tolerance + ROUNDING
            near = [each for each in candidates if each.reranked.error <= most]
            best = min(near, key=lambda each: (each.objectives, *rank(each)))
        return Pick(best, len(pool))

    def _shortlist(self, pool: Sequence[Genes], index: int) -> list[Genes]:
        """Return the best by cross-entropy; with a tolerance, the cheapest within it as well."""
        scores = self.evolution.state.scores
        listed = sorted(pool, key=lambda genes: scores[genes].cross_entropy)[:SHORTLIST]
        if self.tolerance:
            most = scores[listed[0]].error + self.tolerance + ROUNDING
            near = [genes for genes in pool if scores[genes].error <= most]
            archs = [self.evolution.space.decode(genes) for genes in near]
            costs = self.evolution.bands[index].costs.of(archs)
            cheapest = sorted(range(len(near)), key=lambda place: costs[place].objectives)
            listed += [near[place] for place in cheapest[:SHORTLIST]]
        return listed
