"""Linear layers: weights and biases to codes, matrix product, requantization."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nas.numerics.codes import INT8, round_half_up
from nas.numerics.dyadic import dyadic_value
from nas.numerics.fused import equal, fusible, masked
from nas.numerics.products import exact_matmul


@dataclass(frozen=True)
class LinearCodes:
    """The stored constants of a linear layer, before zero points move into the bias.

    Parameters
    ----------
    weight : Tensor
        (rows, depth) float32, integers.
    bias : Tensor
        (rows,) float32, integers, in units of the accumulator.
    factor : Tensor
        (rows,) float32, from accumulator to output code. The file stores multiplier and shift:
        :func:`nas.numerics.dyadic.dyadic` takes it apart.
    """

    weight: Tensor
    bias: Tensor
    factor: Tensor


def weight_limits(bits8: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest and highest weight code of every row; ``bits8`` marks 8-bit rows. Both (rows,)."""
    high = torch.where(bits8, 127.0, 7.0)
    return -high - 1, high


def linear_codes(
    weight: Tensor,
    bias: Tensor | None,
    log_step: Tensor,
    log_in: Tensor,
    log_out: Tensor,
    bits8: Tensor,
) -> LinearCodes:
    """Quantize a layer's constants.

    Parameters
    ----------
    weight : Tensor
        (rows, depth) latent weights.
    bias : Tensor or None
        (rows,) in real units.
    log_step : Tensor
        (rows,) logarithm of each row's step, at the precision that ``bits8`` gives it.
    log_in, log_out : Tensor
        Logarithms of input scale, scalar, and output scale, scalar or (rows,).
    bits8 : Tensor
        (rows,) bool: true where the weights have 8 bits, false where they have 4.
    """
    low, high = weight_limits(bits8)
    codes = _weight_codes(weight, torch.exp(-log_step), low, high)
    if bias is None:
        bias_codes = torch.zeros_like(log_step)
    else:
        bias_codes = round_half_up(bias * torch.exp(-log_step - log_in))
    factor = dyadic_value(torch.exp(log_in + log_step - log_out))
    return LinearCodes(codes, bias_codes, factor)


@fusible
def _weight_codes(weight: Tensor, inverse_step: Tensor, low: Tensor, high: Tensor) -> Tensor:
    codes = weight * inverse_step.unsqueeze(1)
    return codes.add_(0.5).floor_().clamp_(low.unsqueeze(1), high.unsqueeze(1))


@fusible
def _output_codes(
    acc: Tensor, bias: Tensor, factor: Tensor, low: float, high: float
) -> tuple[Tensor, Tensor]:
    """Round and limit sums (tokens, rows); return codes, and which were not limited."""
    if high > INT8[1] or acc.dtype == torch.float64:
        # Codes in the thousands in float64: float32 has too few bits left behind the point.
        factor = factor.double()
        code = torch.mul(acc, factor).add_(bias * factor + 0.5).floor_().float()
    else:
        code = torch.addcmul(bias * factor + 0.5, acc, factor).floor_()
    y = code.clamp(low, high)
    return y, equal(code, y)


@fusible
def _weight_gradients(
    g: Tensor, weight: Tensor, codes: Tensor, factor: Tensor, inverse_step: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of latent weights, and terms of those of factors and steps: all (rows, depth).

    ``g``: the products of the outputs' gradients and inputs.
    """
    g_codes = g.mul_(factor.unsqueeze(1))
    # d y / d ln(factor) summed over tokens, without another pass over the activations.
    g_factor = g_codes * codes
    scaled = weight * inverse_step.unsqueeze(1)
    # A code further from its value than rounding takes it was clipped.
    g_codes.masked_fill_((scaled - codes).abs_() > 0.5, 0.0)
    g_step = scaled.mul_(g_codes)
    return g_codes.mul_(inverse_step.unsqueeze(1)), g_factor, g_step


class _LinearFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, log_step, log_in, log_out, bits8, largest, low, high):
        codes = linear_codes(weight, bias, log_step, log_in, log_out, bits8)
        flat = x.reshape(-1, x.shape[-1])  # (tokens of all images, depth)
        acc = exact_matmul(flat, codes.weight.t(), (largest, -INT8[0]))  # (tokens, rows)
        y, kept = _output_codes(acc, codes.bias, codes.factor, low, high)
        ctx.save_for_backward(
            flat, weight, bias, log_step, log_in, log_out, kept, codes.weight, codes.factor
        )
        return y.reshape(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx, gradient):
        flat, weight, bias, log_step, log_in, log_out, kept, codes, factor = ctx.saved_tensors
        g = masked(gradient.reshape(kept.shape), kept)
        g_x = (g @ (codes * factor.unsqueeze(1))).reshape(*gradient.shape[:-1], -1)
        inverse_step = torch.exp(-log_step)
        g_weight, g_factor, g_step = _weight_gradients(
            g.t() @ flat, weight, codes, factor, inverse_step
        )
        g_factor = g_factor.sum(1)
        g_step = g_factor - g_step.sum(1)
        g_bias = None
        if bias is not None:
            # The term of log_step and log_in cancels between the bias code and the factor.
            g_bias = g.sum(0) * factor * torch.exp(-log_step - log_in)
            g_out = -(g_factor + g_bias * bias)
        else:
            g_out = -g_factor
        return (
            g_x,
            g_weight,
            g_bias,
            g_step,
            g_factor.sum().reshape(log_in.shape),
            g_out.sum_to_size(log_out.shape),
            *(None,) * 4,
        )


def linear(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    log_step: Tensor,
    log_in: Tensor,
    log_out: Tensor,
    bits8: Tensor,
    largest: int,
    limits: tuple[float, float],
) -> Tensor:
    """Matrix product and requantization (numerics section 2).

    Parameters
    ----------
    x : Tensor
        (..., depth) centred codes.
    largest : int
        Bound of the magnitude of ``x``.
    limits : tuple of float
        Lowest and highest centred code of the output.
    weight, bias, log_step, log_in, log_out, bits8 : Tensor
        As in :func:`linear_codes`.

    Returns
    -------
    Tensor
        (..., rows) codes.
    """
    return _LinearFunction.apply(
        x, weight, bias, log_step, log_in, log_out, bits8, largest, *limits
    )
