"""The parts of an integer network, at the ends of their ranges."""

import numpy as np
import pytest
import torch

from nas.numerics import parts
from rtl.model import Linear
from sim.golden import importance_terms, softmax_weights


@pytest.mark.parametrize("depth", [518, 519, 1024])
def test_sums_at_the_end_of_float32(depth):
    """Odd sums around 2**24: 518 x 127 x 255 is below it, and 519 terms are above."""
    rows = 3
    layer = Linear(
        weight=np.full((rows, depth), 127, np.int8),
        bits=np.full(rows, 8, np.uint8),
        bias=np.array([0, 1, -1], np.int32) - 127 * 255 * depth,
        multiplier=np.full(rows, 1 << 16, np.uint32),
        shift=np.full(rows, 16, np.uint8),
    )
    codes = torch.full((2, depth), 255.0)
    codes[1, -1] = 254
    made = parts.IntegerLinear(layer, (0, 255), (-32768, 32767), torch.device("cpu"))
    assert made.weight.dtype is (torch.float32 if depth == 518 else torch.float64)
    assert made(codes).tolist() == [[0, 1, -1], [-127, -126, -128]]


@pytest.mark.parametrize("shift", range(48))
def test_powers_of_two_are_exact(shift):
    found = parts.halved(torch.tensor([(1 << 47) - 1, 3]), torch.tensor([shift, shift]))
    assert found.tolist() == [((1 << 47) - 1) / (1 << shift), 3 / (1 << shift)]


@pytest.mark.parametrize("act_bits", [4, 6, 8])
@pytest.mark.parametrize("keys", [1, 2, 197, 1024])
def test_importance_terms_equal_golden(keys, act_bits):
    """Scores of any spread: all keys equal, one alone, and all between."""
    spread = 2.0 ** np.arange(-1, 22, 2)
    rng = np.random.default_rng(keys)
    scores = np.rint(rng.standard_normal((12, 3, keys)) * spread[:, None, None])
    scores = np.clip(scores, -(1 << 21), (1 << 21) - 1).astype(np.int64)
    multiplier, shift = np.array([[1], [70_001], [(1 << 17) - 1]]), np.array([[0], [19], [47]])
    totals = softmax_weights(scores, multiplier, shift, act_bits).sum(-1, keepdims=True)
    expected = importance_terms(scores, multiplier, shift, act_bits, totals)
    softmax = parts.IntegerSoftmax(act_bits, keys, torch.device("cpu"))
    scale = parts.halved(torch.from_numpy(multiplier), torch.from_numpy(shift))
    found = softmax.importance_terms(
        torch.from_numpy(scores).float(), scale, torch.from_numpy(totals).float()
    )
    assert found.dtype == torch.float64
    np.testing.assert_array_equal(found.numpy(), expected)
