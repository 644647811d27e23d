"""Accuracy: intervals against known values, pairing."""

import numpy as np
import pytest
import torch

from nas.data import ImageSet
from nas.training.evaluate import evaluate, paired_difference, wilson


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (960, 1000, 0.9460, 0.9705)],
)
def test_wilson_interval(successes, count, low, high):
    assert wilson(successes, count) == pytest.approx((low, high), abs=1e-4)


def test_wilson_refuses_impossible_counts():
    with pytest.raises(ValueError, match=r"successes must lie in 0 ... 5 of a count >= 1, not 6"):
        wilson(6, 5)


def test_paired_difference_sees_through_common_errors():
    first = np.arange(1000) % 10 != 0
    second = first.copy()
    second[1] = False
    difference = paired_difference(first, second)
    assert difference.mean == pytest.approx(0.001)
    assert difference.low < 0 < difference.high < 0.004
    with pytest.raises(ValueError, match="both need the same images"):
        paired_difference(first, second[:5])


def test_evaluate_counts_over_batches():
    images = torch.zeros(10, 2, 2, 1, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(10) % 3
    images = ImageSet(images, torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2, 1]))

    def predict(batch):
        return torch.nn.functional.one_hot(batch[:, 0, 0, 0].long(), 3).float()

    result = evaluate(predict, images, batch=4)
    assert result.accuracy == 0.9 and not result.correct[9]
    assert result.predicted.tolist() == [0, 1, 2] * 3 + [0]
    assert result.cross_entropy.shape == (10,)
    assert result.interval[0] < 0.9 < result.interval[1]
