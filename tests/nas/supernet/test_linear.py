"""Linear layers: gradients equal to autograd's through a rounding."""

from math import log

import pytest
import torch

from nas.supernet.linear import linear, weight_limits
from tests.nas.supernet.gradients import ACT, assert_same, coded, integers


@pytest.mark.parametrize("with_bias", [True, False])
def test_linear_gradients(with_bias: bool):
    generator = torch.Generator().manual_seed(1)
    rows, depth = 6, 10
    bits8 = torch.tensor([True, False] * 3)
    log_step = torch.where(bits8, log(0.02), log(0.3))
    log_in, log_out = torch.tensor(log(0.1)), torch.randn(rows, generator=generator) * 0.2 - 1.5
    weight = torch.randn(rows, depth, generator=generator) * 1.5  # some codes are clipped
    x = integers(*ACT, 4, 5, depth)
    # Biases on the grid of the accumulator: elsewhere their rounding reaches the scales.
    bias = integers(-20, 20, rows) * torch.exp(log_step + log_in)

    def ours(x, weight, log_step, log_in, log_out, *bias):
        return linear(
            x,
            weight,
            bias[0] if bias else None,
            log_step=log_step,
            log_in=log_in,
            log_out=log_out,
            bits8=bits8,
            largest=32,
            limits=ACT,
        )

    def theirs(x, weight, log_step, log_in, log_out, *bias):
        low, high = weight_limits(bits8)
        codes = coded(weight * torch.exp(-log_step)[:, None], low[:, None], high[:, None])
        acc = x @ codes.t()
        if bias:
            acc = acc + coded(bias[0] * torch.exp(-log_step - log_in))
        return coded(acc * torch.exp(log_in + log_step - log_out), *ACT)

    inputs = [x, weight, log_step, log_in, log_out] + [bias] * with_bias
    assert_same(ours, theirs, *inputs)
