"""Gradients of a quantizer against autograd's through a rounding."""

from collections.abc import Callable

import torch
from torch import Tensor

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
