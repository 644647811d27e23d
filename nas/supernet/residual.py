"""The residual stream: additions that saturate, and codes of what training holds as real values."""

import torch
from torch import Tensor

from nas.numerics.codes import INT16, round_half_up
from nas.numerics.fused import equal, fusible, masked


@fusible
def _sum_codes(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Add and limit; return codes, and which were not limited."""
    total = a + b
    y = total.clamp(*INT16)
    return y, equal(total, y)


class _SaturatingAdd(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, b):
        y, kept = _sum_codes(a, b)
        ctx.save_for_backward(kept)
        return y

    @staticmethod
    def backward(ctx, gradient):
        (kept,) = ctx.saved_tensors
        g = masked(gradient, kept)
        return g, g


class _RoundStraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return round_half_up(x).clamp_(*INT16)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


def saturating_add(a: Tensor, b: Tensor) -> Tensor:
    """Add residual codes of one shape, limited to int16: no gradient where that limits them."""
    return _SaturatingAdd.apply(a, b)


def residual_codes(x: Tensor) -> Tensor:
    """Round to residual codes, any shape; the gradient passes straight through."""
    return _RoundStraightThrough.apply(x)
