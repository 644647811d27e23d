"""GELU: a table of 256 entries, and its gradients."""

from math import sqrt

import torch
from torch import Tensor

from nas.numerics.codes import look_up, round_half_up


def hidden_zero(log_out: Tensor, signed: bool) -> int:
    """Zero point of the hidden code: room for GELU's minimum of -0.17, or 0 if signed."""
    return 0 if signed else int(round_half_up(0.17 * torch.exp(-log_out.detach())))


def gelu_table(
    log_in: Tensor, log_out: Tensor, limits: tuple[float, float]
) -> tuple[Tensor, Tensor, Tensor]:
    """Centred hidden codes of the 256 pre-activation codes, before and after rounding.

    Parameters
    ----------
    log_in, log_out : Tensor
        Logarithms of the scales of pre-activation and hidden codes, scalars.
    limits : tuple of float
        Lowest and highest centred hidden code.

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
    low, high = limits
    inside = (exact >= low - 0.5) & (exact < high + 0.5)
    density = torch.exp(-0.5 * x * x) / sqrt(2 * torch.pi)
    slope = (cdf + x * density) * log_in.detach().double().exp() * inverse * inside
    table = round_half_up(exact).clamp(low, high)
    return table.float(), exact.float(), slope.float()


class _Gelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, code, log_in, log_out, low, high):
        table, exact, slope = gelu_table(log_in, log_out, (low, high))
        index = code.add(128).int()
        ctx.save_for_backward(index, exact, slope)
        ctx.limits = low, high
        return look_up(table, index)

    @staticmethod
    def backward(ctx, gradient):
        index, exact, slope = ctx.saved_tensors
        low, high = ctx.limits
        # Sum of gradients per table entry: the scales' gradients need no more than that.
        total = slope.new_zeros(256).index_add_(0, index.flatten(), gradient.flatten())
        code = torch.arange(-128, 128, device=slope.device)
        inside = (exact >= low - 0.5) & (exact < high + 0.5)
        g_in = (total * slope * code).sum().float()
        g_out = -(total * exact * inside).sum().float()
        return gradient * look_up(slope, index), g_in, g_out, None, None


def gelu(code: Tensor, *, log_in: Tensor, log_out: Tensor, limits: tuple[float, float]) -> Tensor:
    """GELU by table (numerics section 6): int8 codes to centred hidden codes, any shape.

    ``log_in``, ``log_out`` and ``limits`` are those of :func:`gelu_table`.
    """
    return _Gelu.apply(code, log_in, log_out, *limits)
