"""Intervals against published values, and their coverage."""

from math import comb

import numpy as np
import pytest

from nas.intervals import paired_difference, paired_mean_difference, wilson


def answers(both: int, one: int, other: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Right answers of two models: both right, only the first, only the second, both wrong."""
    counts = (both, one, other, neither)
    return np.repeat([True, True, False, False], counts), np.repeat([1, 0, 1, 0], counts) == 1


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (960, 1000, 0.9460, 0.9705)],
)
def test_wilson_interval(successes, count, low, high):
    assert wilson(successes, count) == pytest.approx((low, high), abs=1e-4)


def test_wilson_refuses_impossible_counts():
    with pytest.raises(ValueError, match=r"successes must lie in 0 ... 5 of a count >= 1, not 6"):
        wilson(6, 5)


@pytest.mark.parametrize(
    ("table", "mean", "low", "high"),
    [
        # Fagerland, Lydersen, Laake: Statistical Analysis of Contingency Tables (2017), chapter 8.
        ((1, 1, 7, 12), -0.286, -0.507, -0.026),
        ((59, 6, 16, 80), -0.062, -0.119, -0.005),
        # Altman et al.: Statistics with Confidence (2000), chapter 6.
        ((14, 5, 0, 22), 0.122, 0.011, 0.226),
    ],
)
def test_paired_difference_as_published(table, mean, low, high):
    found = paired_difference(*answers(*table))
    assert (found.mean, found.low, found.high) == pytest.approx((mean, low, high), abs=6e-4)


def test_paired_difference_sees_through_common_errors():
    first = np.arange(1000) % 10 != 0
    second = first.copy()
    second[1] = False
    difference = paired_difference(first, second)
    assert difference.mean == pytest.approx(0.001)
    assert difference.low < 0 < difference.high < 0.006
    alone = wilson(900, 1000)
    assert difference.high - difference.low < 0.25 * (alone[1] - alone[0])
    with pytest.raises(ValueError, match="both need the same images"):
        paired_difference(first, second[:5])


@pytest.mark.parametrize("table", [(50, 0, 0, 0), (0, 0, 0, 7), (0, 9, 0, 0), (5, 0, 0, 5)])
def test_extreme_answers_have_an_interval_that_is_possible(table):
    found = paired_difference(*answers(*table))
    assert -1 <= found.low < found.mean + 1e-9 and found.mean - 1e-9 < found.high <= 1
    assert found.high - found.low > 0.01


def test_swapping_the_models_turns_the_interval_round():
    one, other = answers(20, 7, 3, 10)
    found, turned = paired_difference(one, other), paired_difference(other, one)
    expected = (-turned.mean, -turned.high, -turned.low)
    assert (found.mean, found.low, found.high) == pytest.approx(expected)


def test_the_interval_covers_as_often_as_it_says():
    """All outcomes of 40 images: 80 % right in both models, 8 % in one alone, 4 % in the other."""
    count, chances = 40, (0.8, 0.08, 0.04, 0.08)
    covered = 0.0
    for both in range(count + 1):
        for one in range(count + 1 - both):
            for other in range(count + 1 - both - one):
                table = (both, one, other, count - both - one - other)
                ways = comb(count, both) * comb(count - both, one) * comb(count - both - one, other)
                chance = ways * np.prod([p**n for p, n in zip(chances, table, strict=True)])
                if chance > 1e-7:
                    found = paired_difference(*answers(*table))
                    covered += chance * (found.low <= chances[1] - chances[2] <= found.high)
    assert 0.94 < covered < 0.985


def test_paired_losses_are_compared_image_by_image():
    rng = np.random.default_rng(0)
    hard = rng.exponential(size=1000)  # common to both: some images are hard
    first, second = hard - 0.02, hard + 0.1 * rng.standard_normal(1000)
    found = paired_mean_difference(first, second)
    assert found.low < -0.02 < found.high and found.high - found.low < 0.015
    assert found.mean == pytest.approx((first - second).mean())
    with pytest.raises(ValueError, match="both need the same images"):
        paired_mean_difference(first, second[:5])


def test_the_interval_of_losses_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    zero = np.zeros(200)
    found = [paired_mean_difference(zero, 1 - rng.exponential(size=200)) for _ in range(2000)]
    assert 0.93 < np.mean([each.low <= 0 <= each.high for each in found]) < 0.965
