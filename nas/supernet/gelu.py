"""GELU: a table of 256 entries, and its gradients."""

from math import sqrt

import torch
from torch import Tensor

from nas.numerics.codes import look_up, round_half_up

Limits = tuple[float | Tensor, float | Tensor]
"""Lowest and highest centred hidden code; a tensor where the zero point is learned."""


def hidden_zero(log_out: Tensor, signed: bool) -> Tensor:
    """Zero point of the hidden code: room for GELU's minimum of -0.17, or 0 if signed. Scalar."""
    if signed:
        return torch.zeros_like(log_out)
    return round_half_up(0.17 * torch.exp(-log_out.detach()))


def gelu_table(log_in: Tensor, log_out: Tensor, limits: Limits) -> tuple[Tensor, Tensor, Tensor]:
    """Centred hidden codes of the 256 pre-activation codes, before and after rounding.

    Parameters
    ----------
    log_in, log_out : Tensor
        Logarithms of the scales of pre-activation and hidden codes, scalars.
    limits : Limits

    Returns
    -------
    table, exact, slope : Tensor
        (256,) float32 for codes -128 ... 127: centred code; the same before rounding and
        clipping; derivative of ``exact`` by the code, 0 where clipped.
    """
    x = torch.arange(-128, 128, device=log_in.device).double() * log_in.detach().double().exp()
    inverse = torch.exp(-log_out.detach().double())
    cdf = 0.5 * (1 + torch.erf(x / sqrt(2)))
    exact = x * cdf * inverse
    low, high = map(torch.as_tensor, limits)
    inside = (exact >= low - 0.5) & (exact < high + 0.5)
    density = torch.exp(-0.5 * x * x) / sqrt(2 * torch.pi)
    slope = (cdf + x * density) * log_in.detach().double().exp() * inverse * inside
    table = round_half_up(exact).clamp(low, high)
    return table.float(), exact.float(), slope.float()


class _Gelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, code, log_in, log_out, low, high):
        table, exact, slope = gelu_table(log_in, log_out, (low, high))
        inside = (exact >= low - 0.5) & (exact < high + 0.5)
        code = code.char()
        ctx.save_for_backward(code, exact * inside, slope)
        return _of_code(table, code)

    @staticmethod
    def backward(ctx, gradient):
        code, exact, slope = ctx.saved_tensors
        g_out = -torch.dot(gradient.flatten(), _of_code(exact, code).flatten())
        g_code = _of_code(slope, code).mul_(gradient)
        g_in = torch.dot(g_code.flatten(), code.float().flatten())
        return g_code, g_in, g_out, None, None


def _of_code(table: Tensor, code: Tensor) -> Tensor:
    """Entry of every code: ``table`` (256,) begins with that of -128, ``code`` is int8."""
    return look_up(table.roll(-128), code.view(torch.uint8))


def gelu(code: Tensor, *, log_in: Tensor, log_out: Tensor, limits: Limits) -> Tensor:
    """GELU by table (numerics section 6): int8 codes to centred hidden codes, any shape.

    ``log_in``, ``log_out`` and ``limits`` are those of :func:`gelu_table`.
    """
    return _Gelu.apply(code, log_in, log_out, *limits)
