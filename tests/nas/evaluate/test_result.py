"""Accuracies, agreement and likeness out of what was measured per image."""

import numpy as np
import pytest

from nas.evaluate.result import Evaluation
from nas.intervals import paired_difference, wilson

SECONDS = {"integer.seconds": np.array([0.1, 0.3])}
RANKS = SECONDS | {"integer.rank": np.array([0, 4, 5, 0]), "float.rank": np.array([0, 0, 6, 1])}


def test_top_1_and_top_5():
    top1, top5 = Evaluation.of(RANKS, 4, 10).accuracies
    assert (top1.integer, top1.exact) == (0.5, 0.5) and (top5.integer, top5.exact) == (0.75, 0.75)
    assert top1.integer_interval == wilson(2, 4)
    right = [np.array([True, False, False, True]), np.array([True, True, False, False])]
    assert top1.difference == paired_difference(*right)


def test_without_the_float_network_there_is_no_difference():
    (top1,) = Evaluation.of(SECONDS | {"integer.rank": np.array([0, 1])}, 2, 5).accuracies
    assert (top1.top, top1.exact, top1.difference) == (1, None, None)
    assert top1.report()["difference_interval"] is None


def test_agreement_and_no_labels():
    found = Evaluation.of(SECONDS | {"agree": np.array([True, True, False])}, 3, 10)
    assert found.accuracies == () and found.agreement == pytest.approx(2 / 3)
    assert found.agreement_interval == wilson(2, 3)
    assert found.report()["top1"] is None


def test_selection():
    measured = SECONDS | {
        "kept.own.3": np.array([0.5, 1.0]),
        "kept.same.3": np.array([0.75, 1.0]),
        "same.agree": np.array([True, False]),
        "same.features.error": np.array([1.0, 3.0]),
        "same.features.length": np.array([1.0, 99.0]),
        "same.features.cosine": np.array([0.8, 1.0]),
    }
    found = Evaluation.of(measured, 2, 0)
    assert found.likenesses == {}
    assert found.report()["selection"] == {
        "own": {"3": 0.75},
        "same": {"3": 0.875},
        "agreement": 0.5,
        "likeness": {"features": {"relative_error": 0.2, "cosine": pytest.approx(0.9)}},
    }
    assert Evaluation.of(SECONDS, 2, 0).report()["selection"] is None


def test_likeness_is_of_all_images_together():
    measured = SECONDS | {
        "features.error": np.array([1.0, 3.0]),
        "features.length": np.array([1.0, 99.0]),
        "features.cosine": np.array([0.8, 1.0]),
        "map.error": np.array([0.0, 0.0]),
        "map.length": np.array([0.0, 0.0]),
        "map.correlation": np.array([1.0, 0.5]),
    }
    found = Evaluation.of(measured, 2, 0)
    assert found.agreement is None and found.seconds == pytest.approx(0.2)
    assert found.report()["likeness"] == {
        "features": {"relative_error": pytest.approx(0.2), "cosine": pytest.approx(0.9)},
        "map": {"relative_error": 0.0, "correlation": 0.75},
    }
