"""The search without a supernet: candidates lie in the band, interrupted or not."""

from dataclasses import replace
from math import inf
from types import SimpleNamespace

import numpy as np
import pytest

from nas.digits import DIGITS
from nas.search.band import Band
from nas.search.evolution import UNIFORM, Evolution, EvolutionConfig
from nas.search.evolution_state import EvolutionState, Score
from nas.space import Arch
from tests.nas.search.toy import CONFIG, LIMITS, GivenCosts, cycles, each, ripple, score, search


def losses(evolution: Evolution, genes) -> list[float]:
    return [evolution.state.scores[each].cross_entropy for each in genes]


def test_equal_seeds_find_equal_subnets_and_others_do_not():
    first, second = search().state, search().state
    assert first == second
    other = search(config=replace(CONFIG, seed=4)).state
    assert other.scores.keys() != first.scores.keys()


def test_candidates_lie_in_the_band_and_are_evaluated_once():
    seen = []

    def evaluate(arch: Arch) -> Score:
        seen.append(arch)
        return score(arch)

    evolution = search(evaluate=evaluate, limits=[1500.0])
    (target,) = evolution.state.targets
    assert len(target.found) == UNIFORM + CONFIG.population * CONFIG.generations
    assert len(target.drawn) == len(target.found)
    assert all(cycles(arch) <= 1500 for arch in seen)
    lowest = evolution.bands[0].lowest
    assert all(cycles(arch) >= lowest for arch in seen[UNIFORM:])
    assert len(set(seen)) == len(seen) == len(evolution.state.scores)


def test_the_first_generation_is_the_largest_uniform_subnets():
    evolution = search(limits=[1500.0])
    (target,) = evolution.state.targets
    assert target.found[:UNIFORM] == evolution.bands[0].uniform(UNIFORM)


def test_the_best_survive():
    evolution = search(limits=[1500.0])
    (target,) = evolution.state.targets
    best = sorted(losses(evolution, target.found))[: CONFIG.population]
    assert losses(evolution, target.population) == best


def test_what_does_not_fit_the_engine_is_never_evaluated():
    def fitting(arch: Arch) -> float:
        return inf if arch.width == 64 else cycles(arch)

    for narrow in (True, False):
        evolution = search(limits=[1e9], costs=GivenCosts(fitting), narrow=narrow)
        archs = map(DIGITS.decode, evolution.state.scores)
        assert {arch.width for arch in archs} <= {32, 48}


def test_targets_on_two_engines_of_which_one_refuses():
    """Scores are shared by all engines, costs are not."""

    def narrow(arch: Arch) -> float:
        return inf if arch.width == 64 else cycles(arch)

    bands = [Band(DIGITS, GivenCosts(each), 1e9, narrow=False) for each in (cycles, narrow)]
    evolution = Evolution(DIGITS, bands, each(score), CONFIG, EvolutionState({}))
    for index in range(2):
        evolution.run(index, lambda: None)
    everything = list(evolution.state.scores)
    widths = [
        {candidate.arch.width for candidate in evolution.candidates(everything, index)}
        for index in range(2)
    ]
    assert widths == [{32, 48, 64}, {32, 48}]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_search_beats_random_draws_from_the_same_band(seed):
    """As many, of the same cycles: more than a few big subnets among small ones."""
    evolution = search(limits=[1500.0], config=EvolutionConfig(seed=seed, generations=6))
    (target,) = evolution.state.targets
    found, drawn = (losses(evolution, each) for each in (target.found, target.drawn))
    assert len(found) == len(drawn)
    assert min(found) < min(drawn) and np.mean(found[-16:]) < np.mean(drawn)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_search_beats_the_uniform_subnets_where_there_is_something_to_find(seed):
    evolution = search(limits=[1500.0], config=EvolutionConfig(seed=seed, generations=6))
    (target,) = evolution.state.targets
    found = losses(evolution, target.found)
    assert min(found) < min(found[:UNIFORM]) - 0.02


def test_genes_that_cost_cycles_and_gain_nothing_are_lowered():
    evolution = search(limits=[1500.0], config=EvolutionConfig(generations=6))
    (target,) = evolution.state.targets

    def bits8(population) -> float:
        return 1 - float(np.mean([rows4(DIGITS.decode(genes)) for genes in population]))

    assert bits8(target.population) < 0.5 * bits8(target.drawn)


def rows4(arch: Arch) -> float:
    """Stands for an objective that pulls elsewhere than cycles: more rows of 8 bits."""
    return 1 - float(np.mean([list(block.bits8.values()) for block in arch.blocks]))


def test_another_objective_changes_what_survives():
    config = EvolutionConfig(population=12, generations=8)
    found = [
        np.mean([rows4(DIGITS.decode(genes)) for genes in run.state.targets[0].population])
        for run in (
            search(limits=[3000.0], config=config, costs=costs, narrow=False)
            for costs in (GivenCosts(cycles, more=[rows4]), GivenCosts(cycles))
        )
    ]
    assert found[0] < found[1]


class Killed(Exception):
    """Stands for a power failure: nothing runs after it."""


@pytest.mark.parametrize("narrow", [True, False])
@pytest.mark.parametrize("evaluations", [3, 20, 55, 90, 140, 200])
def test_resumed_after_a_kill_equals_uninterrupted(evaluations, narrow, tmp_path):
    path = tmp_path / "search.json"
    left = SimpleNamespace(evaluations=evaluations)

    def evaluate_and_die(arch: Arch) -> Score:
        left.evaluations -= 1
        if left.evaluations < 0:
            raise Killed
        return score(arch)

    with pytest.raises(Killed):
        search(evaluate=evaluate_and_die, after=lambda state: state.save(path), narrow=narrow)
    resumed = EvolutionState.load(path) if path.exists() else EvolutionState({})
    assert search(resumed, narrow=narrow).state == search(narrow=narrow).state


def test_a_finished_search_evaluates_nothing(tmp_path):
    path = tmp_path / "search.json"
    finished = search().state
    finished.save(path)

    def never(arch: Arch) -> Score:
        raise AssertionError(f"{arch} was evaluated again")

    assert search(EvolutionState.load(path), never).state == finished


def test_a_band_with_fewer_subnets_than_the_population():
    """Just above the smallest subnet: all there is, and no endless search for more."""
    limit = cycles(DIGITS.smallest()) * 1.02
    (target,) = search(limits=[limit]).state.targets
    assert 0 < len(target.population) < CONFIG.population
    assert target.generations == CONFIG.generations


def test_a_space_with_one_subnet():
    single = replace(
        DIGITS, widths=(32,), depths=(2,), heads=(2,), mlp_ratios=(2,), fractions=(0.0,)
    )
    bands = [Band(single, GivenCosts(cycles), 1e9)]
    evolution = Evolution(single, bands, each(score), CONFIG, EvolutionState({}))
    evolution.run(0, lambda: None)
    (target,) = evolution.state.targets
    assert target.found == target.drawn == [tuple(single.encode(single.smallest()))]


def test_scores_by_chance_lead_nowhere():
    """Where nothing is to be learned, the search finds what it looks at, and no better ones."""

    def by_chance(arch: Arch) -> Score:
        return Score(0.9, ripple(arch))

    evolution = search(evaluate=by_chance, limits=[1500.0])
    (target,) = evolution.state.targets
    fresh = [np.mean([ripple(DIGITS.decode(g), 1) for g in each]) for each in
             (target.population, target.drawn)]  # fmt: skip
    assert fresh[0] == pytest.approx(fresh[1], abs=0.3)


def test_limits_of_all_kinds_are_searched():
    for narrow in (True, False):
        states = search(limits=[*LIMITS, 1e6, float(cycles(DIGITS.smallest()))], narrow=narrow)
        assert all(target.found and target.drawn for target in states.state.targets)
