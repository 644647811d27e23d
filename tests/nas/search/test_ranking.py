"""Winners and baselines, chosen on images that no generation saw."""

from dataclasses import replace

import numpy as np
import pytest

from nas.digits import DIGITS
from nas.search.evolution import UNIFORM, Evolution
from nas.search.evolution_state import EvolutionState, Score
from nas.search.ranking import SHORTLIST, Outcome, Ranking
from nas.space import Arch
from tests.nas.search.toy import CONFIG, EXACT, LIMITS, cycles, each, ripple, score, search


def fresh(arch: Arch) -> Score:
    """The same network on other images: noise of its own."""
    loss = score(arch).cross_entropy + 0.02 * ripple(arch, seed=1)
    return Score(loss / 2, loss)


def outcomes(evolution: Evolution, tolerance: float = 0.0) -> list[Outcome]:
    ranking = Ranking(evolution, each(fresh), tolerance)
    return [ranking.outcome(index) for index in range(len(evolution.bands))]


def test_winner_and_baselines_are_the_best_of_their_short_lists():
    evolution = search()
    scores = evolution.state.scores
    for outcome, target, band in zip(
        outcomes(evolution), evolution.state.targets, evolution.bands, strict=True
    ):
        pools = target.found, band.uniform(UNIFORM), target.drawn
        for pick, pool in zip(
            (outcome.winner, outcome.uniform, outcome.random), pools, strict=True
        ):
            ordered = sorted(pool, key=lambda genes: scores[genes].cross_entropy)
            listed = ordered[:SHORTLIST] + (pools[1] if pool is target.found else [])
            least = min(fresh(DIGITS.decode(genes)).cross_entropy for genes in listed)
            assert pick.loss == least and pick.evaluations == len(pool)
            assert pick.candidate.cycles <= band.limit
        assert len(target.found) == len(target.drawn)


def test_no_winner_is_worse_than_the_best_uniform_subnet_on_the_images_that_choose():
    """Whatever the search images say: here, the opposite."""

    def misleading(arch: Arch) -> Score:
        return Score(0.5, 1 / score(arch).cross_entropy)

    for outcome in outcomes(search(evaluate=misleading)):
        assert outcome.winner.loss <= outcome.uniform.loss


def test_the_share_of_candidates_near_the_limit():
    evolution = search()
    for outcome, target, limit in zip(
        outcomes(evolution), evolution.state.targets, LIMITS, strict=True
    ):
        near = [0.9 * limit <= cycles(DIGITS.decode(genes)) <= limit for genes in target.found]
        assert outcome.in_band == pytest.approx(np.mean(near)) and outcome.in_band > 0.7


def test_each_subnet_is_reranked_once(tmp_path):
    evolution = search()
    asked = []

    def rerank(arch: Arch) -> Score:
        asked.append(arch)
        return fresh(arch)

    first = Ranking(evolution, each(rerank)).outcome(0)
    assert len(set(asked)) == len(asked) == len(evolution.state.reranked)
    evolution.state.save(tmp_path / "search.json")
    evolution.state = EvolutionState.load(tmp_path / "search.json")
    asked.clear()
    assert Ranking(evolution, each(rerank)).outcome(0) == first and not asked


def test_among_equals_the_first_objective_decides():
    def equal(arch: Arch) -> Score:
        return Score(0.1, 1.0)

    evolution = search(evaluate=equal, limits=[3000.0])
    winner = Ranking(evolution, each(equal)).outcome(0).winner.candidate
    reranked = map(DIGITS.decode, evolution.state.reranked)
    assert winner.cycles == min(map(cycles, reranked))


def test_a_tolerance_lets_a_cheaper_one_win():
    evolution = search(limits=[3000.0], narrow=False)
    strict, loose, all_given = (
        outcomes(evolution, tolerance)[0].winner.candidate for tolerance in (0.0, 0.02, 1.0)
    )
    assert all_given.cycles < loose.cycles < strict.cycles
    assert fresh(strict.arch).error < fresh(loose.arch).error <= fresh(strict.arch).error + 0.02
    found = evolution.state.targets[0].found
    assert all_given.cycles == min(cycles(DIGITS.decode(genes)) for genes in found)


def test_a_tolerance_of_just_the_difference_is_enough():
    """In floating point, 0.7 + 0.1 lies below 0.8."""

    def evaluate(arch: Arch) -> Score:
        return Score(0.8 if cycles(arch) < 2850 else 0.7, 1.0 - cycles(arch) / 1e6)

    found = [
        Ranking(search(evaluate=evaluate, limits=[3000.0]), each(evaluate), tolerance)
        .outcome(0)
        .winner.candidate
        for tolerance in (0.1, 0.099)
    ]
    assert [winner.score.error for winner in found] == [0.8, 0.7]


def test_a_limit_that_no_subnet_reaches():
    with pytest.raises(ValueError, match="no subnet within 10 cycles"):
        outcomes(search(limits=[10.0]))


def test_a_target_that_only_the_smallest_subnet_reaches():
    """It is winner and both baselines."""
    limit = float(cycles(DIGITS.smallest()))
    (outcome,) = outcomes(search(limits=[limit], config=replace(CONFIG, population=4)))
    assert outcome.winner == outcome.uniform == outcome.random
    assert outcome.winner.candidate.arch == DIGITS.smallest()
    assert EXACT.exact(outcome.winner.candidate.arch) == limit
