"""The residual stream saturates, without a gradient where it does."""

import torch

from nas.supernet.residual import residual_codes, saturating_add
from tests.nas.supernet.gradients import gradients


def test_a_sum_saturates_at_int16():
    a, b = torch.tensor([1.0, 32760, -32760, 32766]), torch.tensor([2.0, 100, -100, 1])
    y, (g_a, g_b) = gradients(saturating_add, a, b)
    assert y.tolist() == [3, 32767, -32768, 32767]
    assert (g_a != 0).tolist() == [True, False, False, True]
    assert torch.equal(g_a, g_b)


def test_codes_are_rounded_halves_up():
    y, (g,) = gradients(residual_codes, torch.tensor([0.5, -0.5, 1.4, 40_000.0]))
    assert y.tolist() == [1, 0, 1, 32767]
    assert (g != 0).all()
