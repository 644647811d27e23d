"""Selection of tokens: whole numbers as defined, ties, gradients."""

from math import log

import numpy as np
import torch

from nas.numerics.dyadic import dyadic
from nas.supernet.attention import attention_weights, softmax_factor
from nas.supernet.selection import gathered, importance, kept_tokens, real_importance
from rtl.model import numerics
from tests.nas.supernet.gradients import integers


def defined(scores: np.ndarray, multiplier: int, shift: int, act_bits: int) -> list[int]:
    """Numerics section 5 in Python's integers: scores (heads, keys) of the class token's row."""
    table, found = numerics.exp2_table(act_bits), [0] * (scores.shape[1] - 1)
    for row in scores.tolist():
        u = [min(4095, (max(row) - score) * multiplier >> shift) for score in row]
        weights = [table[each & 255] >> (each >> 8) for each in u]
        total = sum(w + numerics.dither(key) >> 8 for key, w in enumerate(weights))
        length = total.bit_length()
        reciprocal = (1 << (15 + length)) // total
        for patch, weight in enumerate(weights[:-1]):
            found[patch] += weight * reciprocal >> (length + 7)
    return found


def test_importance_is_the_defined_one():
    log_q, log_k = torch.tensor(log(0.05)), torch.tensor(log(0.012))
    for act_bits in numerics.ACT_BITS:
        scores = integers(-4000, 4000, 2, 3, 11, 11, seed=act_bits)
        scores[0, 0] = 7  # equal ones
        scores[1, 2, :, 3] = 1 << 20  # one that takes it all
        scales = {"log_q": log_q, "log_k": log_k, "head_dim": 8, "act_bits": act_bits}
        found = importance(scores, attention_weights(scores, **scales), **scales)
        multiplier, shift = map(int, dyadic(softmax_factor(log_q, log_k, 8), shifts=(0, 47)))
        rows = scores[:, :, -1].numpy().astype(int)
        expected = [defined(each, multiplier, shift, act_bits) for each in rows]
        assert found.tolist() == expected
        assert found.max() < 1 << 24


def test_of_equal_patches_the_first_stay():
    found = torch.tensor([[5.0, 9, 5, 5, 1], [2, 2, 2, 2, 2]])
    assert kept_tokens(found, 3).tolist() == [[0, 1, 2, 5], [0, 1, 2, 5]]
    assert kept_tokens(found, 1).tolist() == [[1, 5], [0, 5]]
    assert kept_tokens(found, 5).tolist() == [[0, 1, 2, 3, 4, 5]] * 2


def test_the_gradient_goes_to_the_tokens_that_stay():
    x = torch.arange(24.0).view(2, 4, 3).requires_grad_()
    y = gathered(x, torch.tensor([[0, 3], [1, 3]]))
    assert y[0].tolist() == x[0, [0, 3]].tolist() and y[1].tolist() == x[1, [1, 3]].tolist()
    y.square().sum().backward()
    expected = torch.zeros_like(x)
    expected[0, [0, 3]], expected[1, [1, 3]] = 2 * x[0, [0, 3]], 2 * x[1, [1, 3]]
    assert x.grad is not None and torch.equal(x.grad, expected.detach())


def test_real_importance_is_the_softmax_of_the_class_token():
    q, k = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 5, 8)
    weights = torch.softmax(q @ k.transpose(-1, -2) / 8**0.5, -1)  # (batch, heads, queries, keys)
    torch.testing.assert_close(real_importance(q, k), weights[:, :, 4, :4].sum(1))
