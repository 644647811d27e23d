"""The trend over the genes: it finds what gains, and stays sober where it knows little."""

import numpy as np
import pytest

from nas.digits import DIGITS
from nas.search.trend import Trend

RNG = np.random.default_rng(0)
EFFECT = np.zeros(len(DIGITS.gene_choices))
EFFECT[[0, 4, 5]] = -0.02, -0.01, 0.005  # width, and heads and MLP ratio of the first block


def subnets(count: int) -> list[tuple[int, ...]]:
    return [tuple(RNG.integers(0, DIGITS.gene_choices)) for _ in range(count)]


def test_gains_are_found_through_noise():
    genes = subnets(150)
    values = 0.3 + np.array(genes) @ EFFECT + 0.005 * RNG.standard_normal(150)
    trend = Trend(genes, list(values))
    assert trend.steps == pytest.approx(EFFECT, abs=0.004)
    for each in subnets(5):
        assert trend(each) == pytest.approx(0.3 + np.array(each) @ EFFECT, abs=0.03)


def test_a_single_subnet_has_no_trend():
    (genes,) = subnets(1)
    trend = Trend([genes], [0.25])
    assert not trend.steps.any() and trend(subnets(1)[0]) == 0.25


def test_genes_that_never_varied_have_no_trend():
    genes = [(0, each % 3, 2) for each in range(9)]
    trend = Trend(genes, [0.1 * each[1] for each in genes])
    assert trend.steps[[0, 2]] == pytest.approx(0) and trend.steps[1] > 0.05
