"""Mean of the patch tokens, rescaled to activation codes."""

import torch
from torch import Tensor

from nas.numerics.dyadic import dyadic_value


def pool_factor(patches: int, log_in: Tensor, log_out: Tensor) -> Tensor:
    """Return the factor from the sum over ``patches`` codes to the code of their mean, a scalar."""
    return dyadic_value((log_in - log_out).detach().exp() / patches)


class _PoolFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, log_in, log_out, low, high):
        factor = pool_factor(x.shape[1], log_in, log_out)
        acc = x.sum(1, keepdim=True)  # exact: below 2**24
        # In float64: a product of sum and multiplier has more bits than float32.
        shifted = acc.double().mul_(factor).add_(0.5)
        y = torch.floor(shifted).clamp_(low, high).float()
        ctx.save_for_backward(acc, shifted.float(), factor)
        ctx.limits, ctx.patches = (low, high), x.shape[1]
        return y

    @staticmethod
    def backward(ctx, gradient):
        acc, shifted, factor = ctx.saved_tensors
        low, high = ctx.limits
        g = torch.ops.aten.hardtanh_backward(gradient, shifted, low, high + 1).mul_(factor)
        g_in = torch.dot(g.flatten(), acc.flatten())
        return g.expand(-1, ctx.patches, -1), g_in, -g_in, None, None


def mean(x: Tensor, *, log_in: Tensor, log_out: Tensor, limits: tuple[float, float]) -> Tensor:
    """Mean over tokens (numerics section 7).

    Parameters
    ----------
    x : Tensor
        (batch, patches, width) centred codes.
    log_in, log_out : Tensor
        Logarithms of the scales of input and output, scalars.
    limits : tuple of float
        Lowest and highest code of the output.

    Returns
    -------
    Tensor
        (batch, 1, width) codes.
    """
    return _PoolFunction.apply(x, log_in, log_out, *limits)
