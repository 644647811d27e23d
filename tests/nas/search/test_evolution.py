"""The search without a supernet: every candidate reaches the target, interrupted or not."""

from dataclasses import replace
from math import inf
from types import SimpleNamespace

import numpy as np
import pytest

from nas.cost import SubnetCost, SubnetCosts
from nas.digits import DIGITS
from nas.search.evolution import Evolution, EvolutionConfig, LatencyTarget
from nas.search.evolution_state import EvolutionState, Score
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


def score(arch: Arch) -> Score:
    """More work, fewer errors, with ripples that make the search worth its while."""
    noise = np.random.default_rng(list(DIGITS.encode(arch))).random()
    error = 30 / cycles(arch) ** 0.5 + 0.2 * noise
    return Score(round(error / 2, 3), error)


class GivenCosts(SubnetCosts):
    """Costs by functions of an arch; counts how many archs were asked for."""

    def __init__(self, exact, bound=lambda arch: 0, more=()):
        self.exact, self.bound, self.more = exact, bound, more
        self.asked = []

    def of(self, archs):
        self.asked += archs
        return [
            SubnetCost(self.exact(arch), (*(f(arch) for f in self.more), float(self.exact(arch))))
            for arch in archs
        ]

    def least_cycles(self, arch):
        return self.bound(arch)


EXACT = GivenCosts(cycles)


def search(
    state=None, evaluate=score, limits=LIMITS, after=lambda target: None, config=CONFIG, costs=EXACT
):
    targets = [LatencyTarget(costs, limit) for limit in limits]
    evolution = Evolution(DIGITS, targets, evaluate, config, state or EvolutionState({}))
    evolution.run(after)
    return evolution


def test_equal_seeds_find_equal_subnets_and_others_do_not():
    first, second = search().state, search().state
    assert first == second
    other = search(config=EvolutionConfig(population=8, generations=4, seed=4)).state
    assert other.scores.keys() != first.scores.keys()


def test_every_candidate_reaches_the_target():
    limit = min(cycles(DIGITS.smallest()) * 1.3, LIMITS[0])
    seen = []

    def evaluate(arch):
        seen.append(arch)
        return score(arch)

    evolution = search(evaluate=evaluate, limits=[limit])
    assert len(seen) > CONFIG.population
    assert all(cycles(arch) <= limit for arch in seen)
    assert len(set(seen)) == len(seen) == len(evolution.candidates())


def test_what_does_not_fit_the_engine_is_never_evaluated():
    def fitting(arch):
        return inf if arch.width == 64 else cycles(arch)

    state = EvolutionState({})
    evolution = Evolution(DIGITS, [LatencyTarget(GivenCosts(fitting), 1e9)], score, CONFIG, state)
    evolution.run(lambda target: None)
    assert {candidate.arch.width for candidate in evolution.candidates()} <= {32, 48}


def test_winners_are_the_most_accurate_that_reach_the_target():
    evolution = search()
    winners = [evolution.winner(i) for i in range(len(LIMITS))]
    for limit, winner in zip(LIMITS, winners, strict=True):
        assert winner.cycles <= limit
        reaching = [c for c in evolution.candidates() if c.cycles <= limit]
        assert winner.score.error == min(c.score.error for c in reaching)
    errors = [winner.score.error for winner in winners]
    assert errors == sorted(errors)


def test_a_bound_spares_costs_and_changes_nothing():
    """Where the bound says that a subnet is too slow, its exact cost is not asked for."""
    bounded = GivenCosts(cycles, bound=lambda arch: 0.9 * cycles(arch))
    plain = GivenCosts(cycles)
    assert search(costs=bounded).state == search(costs=plain).state
    assert len(bounded.asked) < 0.9 * len(plain.asked)


def test_costs_are_asked_for_lazily():
    """Where all candidates reach the target, each that is drawn is costed once, and no other."""
    costs = GivenCosts(cycles)
    search(costs=costs, limits=[1e9], config=replace(CONFIG, generations=0))
    assert len(costs.asked) == len(DIGITS.fractions) + CONFIG.population


def test_candidates_that_another_engine_refuses_are_left_out():
    """Scores are shared by all engines, costs are not."""

    def narrow(arch):
        return inf if arch.width == 64 else cycles(arch)

    targets = [LatencyTarget(GivenCosts(each), 1e9) for each in (cycles, narrow)]
    evolution = Evolution(DIGITS, targets, score, CONFIG, EvolutionState({}))
    evolution.run(lambda target: None)
    assert 64 in {candidate.arch.width for candidate in evolution.candidates(0)}
    assert 64 not in {candidate.arch.width for candidate in evolution.candidates(1)}
    assert evolution.winner(1).arch.width != 64


def test_search_beats_random_draws_of_the_same_number():
    config = EvolutionConfig(population=12, generations=12)
    evolution = search(limits=[1500.0], config=config)
    rng = np.random.default_rng(0)
    drawn = [DIGITS.sample(rng) for _ in range(10 * len(evolution.candidates()))]
    reaching = [arch for arch in drawn if cycles(arch) <= 1500][: len(evolution.candidates())]
    assert evolution.winner(0).score.error < min(score(arch).error for arch in reaching)


def test_cross_entropy_decides_among_equal_errors_and_never_against_the_error():
    assert Score(0.1, 0.5).objective < Score(0.1, 0.6).objective
    assert Score(0.1, 1.9).objective < Score(0.102, 0.0).objective


def test_fewer_cycles_win_among_equals():
    evolution = search(evaluate=lambda arch: Score(0.1, 1.0), limits=[3000.0])
    assert evolution.winner(0).cycles == min(c.cycles for c in evolution.candidates())


def idle_heads(arch: Arch) -> int:
    """Stands for an objective that pulls elsewhere than cycles."""
    return 16 - sum(block.heads for block in arch.blocks)


HEADS = GivenCosts(cycles, more=[idle_heads])


def test_another_objective_changes_what_survives():
    config = EvolutionConfig(population=12, generations=8)
    found = [
        np.mean([idle_heads(DIGITS.decode(genes)) for genes in run.state.populations[0]])
        for run in (search(limits=[3000.0], config=config, costs=each) for each in (HEADS, EXACT))
    ]
    assert found[0] < found[1]


def test_the_first_objective_decides_among_equals():
    evolution = search(evaluate=lambda arch: Score(0.1, 1.0), limits=[3000.0], costs=HEADS)
    least = min(idle_heads(c.arch) for c in evolution.candidates() if c.cycles <= 3000)
    winner = evolution.winner(0)
    assert idle_heads(winner.arch) == least == winner.objectives[0]


def test_a_tolerance_lets_a_cheaper_one_win():
    strict = search(limits=[3000.0]).winner(0)
    config = replace(CONFIG, tolerance=0.05)
    evolution = search(limits=[3000.0], config=config)
    near = [
        candidate
        for candidate in evolution.candidates()
        if candidate.cycles <= 3000 and candidate.score.error <= strict.score.error + 0.0500001
    ]
    winner = evolution.winner(0)
    assert winner.cycles == min(candidate.cycles for candidate in near) < strict.cycles
    assert strict.score.error < winner.score.error


def test_a_tolerance_of_just_the_difference_is_enough():
    """In floating point, 0.7 + 0.1 lies below 0.8."""

    def evaluate(arch):
        return Score(0.8 if cycles(arch) < 2000 else 0.7, 1.0)

    found = [
        search(evaluate=evaluate, limits=[3000.0], config=replace(CONFIG, tolerance=each)).winner(0)
        for each in (0.1, 0.099)
    ]
    assert [winner.score.error for winner in found] == [0.8, 0.7]


class Killed(Exception):
    """Stands for a power failure: nothing runs after it."""


@pytest.mark.parametrize("evaluations", [3, 12, 25, 40, 60])
def test_resumed_after_a_kill_equals_uninterrupted(evaluations, tmp_path):
    path = tmp_path / "search.json"
    left = SimpleNamespace(evaluations=evaluations)

    def evaluate_and_die(arch):
        left.evaluations -= 1
        if left.evaluations < 0:
            raise Killed
        return score(arch)

    state = EvolutionState({"seed": 3})
    with pytest.raises(Killed):
        search(state, evaluate_and_die, after=lambda target: state.save(path))
    resumed = EvolutionState.load(path) if path.exists() else EvolutionState({"seed": 3})
    uninterrupted = search(EvolutionState({"seed": 3}))
    assert search(resumed).state == uninterrupted.state


def test_a_finished_search_evaluates_nothing(tmp_path):
    path = tmp_path / "search.json"
    finished = search()
    finished.state.save(path)

    def never(arch):
        raise AssertionError(f"{arch} was evaluated again")

    reused = search(EvolutionState.load(path), never)
    assert reused.state == finished.state
    targets = range(len(LIMITS))
    assert [reused.winner(i) for i in targets] == [finished.winner(i) for i in targets]


def test_a_space_with_one_subnet():
    single = replace(
        DIGITS, widths=(32,), depths=(2,), heads=(2,), mlp_ratios=(2,), fractions=(0.0,)
    )
    state = EvolutionState({})
    evolution = Evolution(single, [LatencyTarget(EXACT, 1e9)], score, CONFIG, state)
    evolution.run(lambda target: None)
    assert evolution.winner(0).arch == single.smallest()


def test_a_limit_below_the_smallest_subnet():
    with pytest.raises(ValueError, match="no subnet within 10 cycles"):
        search(limits=[10.0]).winner(0)


def test_a_target_that_only_the_smallest_subnet_reaches():
    smallest = DIGITS.smallest()
    limit = float(cycles(smallest))
    found = search(limits=[limit]).winner(0)
    assert (found.arch, found.cycles) == (smallest, limit)
