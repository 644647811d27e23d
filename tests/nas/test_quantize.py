"""Quantizers: codes by the letter, and gradients equal to autograd's through a rounding."""

from collections.abc import Callable
from math import erf, log, sqrt

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from nas.quantize.attention import attention_weights, context
from nas.quantize.codes import round_half_up
from nas.quantize.dyadic import dyadic, dyadic_value
from nas.quantize.gelu import gelu, gelu_table
from nas.quantize.linear import linear, weight_limits
from nas.quantize.norm import norm, norm_codes, rsqrt_codes
from nas.quantize.steps import best_step
from rtl.model import numerics
from rtl.model.dyadic import dyadic as exact_dyadic
from sim.golden import ops

INFINITE = float("inf")
INT8 = (-128, 127)
ACT = (-32, 31)


def coded(x: Tensor, low: Tensor | float = -INFINITE, high: Tensor | float = INFINITE) -> Tensor:
    """Round half up and clip; the gradient passes where nothing is clipped."""
    code = torch.floor(x + 0.5).detach()
    passed = code + (x - x.detach())
    return torch.where(
        (code >= low) & (code <= high),
        passed,
        torch.clamp(code, torch.as_tensor(low), torch.as_tensor(high)),
    )


def gradients(function: Callable[..., Tensor], *inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Value of a function, and gradients of a fixed weighted sum of it."""
    inputs = tuple(x.clone().requires_grad_() for x in inputs)
    y = function(*inputs)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(7))
    return y.detach(), list(torch.autograd.grad((y * weights).sum(), inputs))


def assert_same(
    ours: Callable[..., Tensor],
    theirs: Callable[..., Tensor],
    *inputs: Tensor,
    tolerance: float = 2e-3,
) -> None:
    y, got = gradients(ours, *inputs)
    expected_y, expected = gradients(theirs, *inputs)
    assert (y == expected_y).float().mean() > 0.95  # float32 rounds ties away
    for a, b in zip(got, expected, strict=True):
        atol = tolerance * float(b.abs().max())
        torch.testing.assert_close(a, b, rtol=tolerance, atol=atol)


def integers(low: int, high: int, *shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, high + 1, shape, generator=generator).float()


def test_round_half_up_is_not_half_to_even():
    x = torch.tensor([-1.5, -0.5, 0.5, 1.5, 2.5])
    assert round_half_up(x).tolist() == [-1, 0, 1, 2, 3]


@pytest.mark.parametrize("value", [1e-9, 3e-5, 0.013, 0.5, 1.0, 77.7, 60000.0])
def test_dyadic_is_close_and_in_range(value: float):
    multiplier, shift = dyadic(torch.tensor(value))
    assert 1 <= int(multiplier) < 1 << 17 and 1 <= int(shift) <= 47
    factor = float(dyadic_value(torch.tensor(value)))
    assert int(multiplier) / 2 ** int(shift) == factor == pytest.approx(value, rel=2**-17)
    assert (int(multiplier), int(shift)) == exact_dyadic(float(torch.tensor(value)))


def test_dyadic_value_carries_into_the_exponent():
    value = torch.tensor(2 - 2.0**-20)
    assert float(dyadic_value(value)) == 2.0
    assert [int(part) for part in dyadic(value)] == [1 << 16, 15]


def test_dyadic_keeps_tiny_factors_at_the_last_shift():
    multiplier, shift = dyadic(torch.tensor(2.0**-45))
    assert (int(multiplier), int(shift)) == (4, 47)


@pytest.mark.parametrize("with_bias", [True, False])
def test_linear_gradients(with_bias: bool):
    generator = torch.Generator().manual_seed(1)
    rows, depth = 6, 10
    wide = torch.tensor([True, False] * 3)
    ln_step = torch.where(wide, log(0.02), log(0.3))
    ln_in, ln_out = torch.tensor(log(0.1)), torch.randn(rows, generator=generator) * 0.2 - 1.5
    weight = torch.randn(rows, depth, generator=generator) * 1.5  # some codes are clipped
    x = integers(*ACT, 4, 5, depth)
    # Biases on the grid of the accumulator: elsewhere their rounding reaches the scales.
    bias = integers(-20, 20, rows) * torch.exp(ln_step + ln_in)

    def ours(x, weight, ln_step, ln_in, ln_out, *bias):
        return linear(
            x,
            weight,
            bias[0] if bias else None,
            ln_step=ln_step,
            ln_in=ln_in,
            ln_out=ln_out,
            wide=wide,
            limits=ACT,
        )

    def theirs(x, weight, ln_step, ln_in, ln_out, *bias):
        low, high = weight_limits(wide)
        codes = coded(weight * torch.exp(-ln_step)[:, None], low[:, None], high[:, None])
        acc = x @ codes.t()
        if bias:
            acc = acc + coded(bias[0] * torch.exp(-ln_step - ln_in))
        return coded(acc * torch.exp(ln_in + ln_step - ln_out), *ACT)

    inputs = [x, weight, ln_step, ln_in, ln_out] + [bias] * with_bias
    assert_same(ours, theirs, *inputs)


def test_norm_gradients():
    r = integers(-3000, 3000, 5, 7, 32)
    epsilon = 2.5

    def ours(r, ln_out):
        return norm(r, ln_out=ln_out, epsilon=epsilon, limits=ACT)

    def theirs(r, ln_out):
        normal = functional.layer_norm(r, [32], eps=epsilon)
        return coded(normal * torch.exp(-ln_out), *ACT)

    assert_same(ours, theirs, r, torch.tensor(log(0.05)))


def test_attention_gradients():
    q, k, v = (
        integers(-8, 8, 2, 5, 8),  # a softmax that is not one-hot
        integers(*INT8, 2, 9, 8, seed=1),
        integers(*INT8, 2, 9, 8, seed=2),
    )
    ln = [torch.tensor(log(scale)) for scale in (0.05, 0.012, 0.03, 0.06)]
    dither = torch.tensor([numerics.dither(key) for key in range(9)])

    def ours(q, k, v, ln_q, ln_k, ln_v, ln_out):
        scores = q @ k.transpose(-1, -2)
        e = attention_weights(scores, ln_q=ln_q, ln_k=ln_k, head_dim=8, act_bits=6)
        return context(e, v, ln_v=ln_v, ln_out=ln_out, limits=ACT)

    def theirs(q, k, v, ln_q, ln_k, ln_v, ln_out):
        scores = q @ k.transpose(-1, -2)
        distance = (scores.detach().amax(-1, keepdim=True) - scores) * 256 / log(2)
        u = distance * torch.exp(ln_q + ln_k) / sqrt(8)
        u = torch.floor(u).detach() + (u - u.detach())
        e = 63 * torch.exp2(-u / 256)
        table = torch.floor(63 * 256 * torch.exp2(-(u.detach() % 256) / 256) + 0.5)
        code = torch.floor((torch.floor(table * 2.0 ** -torch.floor(u / 256)) + dither) / 256)
        e = code.detach() + (e - e.detach())
        y = (e @ v) / e.sum(-1, keepdim=True) * torch.exp(ln_v - ln_out)
        return coded(y, *ACT)

    # Our e is cut to 1/256 before the gradient; in the scales' gradients large terms cancel.
    assert_same(ours, theirs, q, k, v, *ln, tolerance=3e-2)


def test_gelu_gradients():
    code = torch.arange(-128.0, 128.0).reshape(2, 128)
    limits = (-4, 59)

    def theirs(code, ln_in, ln_out):
        return coded(functional.gelu(code * ln_in.exp()) / ln_out.exp(), *limits)

    def ours(code, ln_in, ln_out):
        return gelu(code, ln_in=ln_in, ln_out=ln_out, limits=limits)

    assert_same(ours, theirs, code, torch.tensor(log(0.035)), torch.tensor(log(0.05)))


def test_gelu_table_is_gelu():
    ln_in, ln_out = torch.tensor(log(0.03)), torch.tensor(log(0.06))
    table, _, _ = gelu_table(ln_in, ln_out, (-3, 60))
    for code in (-128, -20, 0, 1, 50, 127):
        x = code * float(ln_in.exp())
        exact = x * (1 + erf(x / sqrt(2))) / 2 / float(ln_out.exp())
        assert abs(float(table[code + 128]) - min(max(exact, -3), 60)) <= 0.5 + 1e-6


@pytest.mark.parametrize("width", [16, 64, 192])
def test_norm_equals_golden(width: int):
    r = integers(-4000, 4000, 40, width)
    r[0] = 7  # no variance at all
    ln_out = torch.tensor(log(0.1))
    codes = norm_codes(width, 1.5, ln_out)
    y = norm(r, ln_out=ln_out, epsilon=1.5, limits=ACT)
    expected = ops.layer_norm(
        r.numpy().astype(np.int64),
        epsilon=codes.epsilon,
        gain=codes.gain,
        shift=codes.shift,
        zero=0,
        exponent=np.zeros(width, int),
        low=ACT[0],
        high=ACT[1],
    )
    assert (y.numpy() == expected).mean() >= 0.9999


def test_norm_refuses_a_scale_out_of_range():
    with pytest.raises(ValueError, match=r"a LayerNorm's output scale must be at most 2, not 3.0"):
        norm_codes(64, 1.0, torch.tensor(log(3.0)))


def test_best_step_beats_the_range():
    x = torch.randn(3, 1000, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [[1], [5], [0.1]]
    )
    step = best_step(x, -8, 7)

    def error(step: Tensor) -> Tensor:
        return (
            (torch.floor(x / step[:, None] + 0.5).clamp(-8, 7) * step[:, None] - x).square().sum(1)
        )

    assert (error(step) < error(x.abs().amax(1) / 8)).all()
    assert step[1] / step[2] == pytest.approx(50, rel=0.2)


def test_rsqrt_equals_golden():
    generator = np.random.default_rng(0)
    small = np.arange(1, 5000)
    large = np.floor(2.0 ** generator.uniform(0, 51, 20000)).astype(np.int64)
    variance = np.concatenate([small, large])
    k, e = rsqrt_codes(torch.from_numpy(variance.astype(np.float64)))
    expected_k, expected_e = ops.rsqrt(variance)
    assert (k.numpy() == expected_k).all() and (e.numpy() == expected_e).all()
