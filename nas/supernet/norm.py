"""LayerNorm of residual codes, with the engine's reciprocal root."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from nas.numerics.codes import look_up
from nas.numerics.dyadic import dyadic, dyadic_value
from nas.numerics.fused import equal, fusible, masked
from rtl.model import numerics

GAIN_BITS = 16  # of the constant G
INVERSES = 0.5, ((1 << GAIN_BITS) - 1) / 2  # of the output scale: what gain and shift express
SCALES = 1 / INVERSES[1], 1 / INVERSES[0]
"""Lowest and highest output scale, about 2**-15 and 2."""


@dataclass(frozen=True)
class NormCodes:
    """The stored constants of a LayerNorm.

    Parameters
    ----------
    epsilon : int
        Term added to ``width**2`` times the variance, in squared residual codes.
    gain, shift : int
        1 / output scale = ``gain * 2**-(shift + 1)``; the gain has ``GAIN_BITS`` bits.
    """

    epsilon: int
    gain: int
    shift: int


def norm_codes(width: int, epsilon: float, log_out: Tensor) -> NormCodes:
    """Quantize a LayerNorm's constants.

    Parameters
    ----------
    width : int
        Channels.
    epsilon : float
        Epsilon in squared residual codes.
    log_out : Tensor
        Logarithm of the output scale, scalar.

    Raises
    ------
    ValueError
        If the output scale is not within :data:`SCALES`.
    """
    inverse = dyadic_value(torch.exp(-log_out.detach()), GAIN_BITS)
    if not INVERSES[0] <= float(inverse) <= INVERSES[1]:
        lowest, highest = SCALES
        raise ValueError(
            f"a LayerNorm's output scale must be from {lowest:.4g} to {highest:g}, not"
            f" {float(log_out.exp()):.4g}"
        )
    gain, shift = _gain_and_shift(log_out)
    return NormCodes(epsilon_code(width, epsilon), gain=int(gain), shift=int(shift) - 1)


def epsilon_code(width: int, epsilon: float) -> int:
    """Quantize epsilon, in squared residual codes, for ``width`` channels."""
    return min(max(round(epsilon * width * width), 1), (1 << 32) - 1)


def _gain_and_shift(log_out: Tensor) -> tuple[Tensor, Tensor]:
    """Return 1 / output scale as ``gain * 2**-shift``: float64 and int64 scalars.

    They stay tensors: a Python number would wait for the device.
    """
    inverse = dyadic_value(torch.exp(-log_out.detach()), GAIN_BITS)
    gain, shift = dyadic(inverse, GAIN_BITS, shifts=(1, 16))
    return gain.double(), shift


def rsqrt_codes(variance: Tensor) -> tuple[Tensor, Tensor]:
    """Return k and e of numerics section 4: ``k`` is about ``2**(15 + e) / sqrt(variance)``.

    All steps are exact in float64, which a CPU handles several times faster than 64-bit integers.

    Parameters
    ----------
    variance : Tensor
        Any shape, float64, integers >= 1.

    Returns
    -------
    k, e : Tensor
        float64 and int32, the shape of ``variance``.
    """
    _, bits = torch.frexp(variance)
    e = (bits + 1) >> 1
    table, power_of_4 = _rsqrt_tables(variance.device)
    m = (variance * look_up(power_of_4, e)).floor_()
    index = (m * 2.0**-numerics.RSQRT_INDEX_SHIFT).floor_() - numerics.RSQRT_INDEX_OFFSET
    # A float32 estimate of the variance may lie one step outside at a power of two.
    y = look_up(table, index.clamp_(0, numerics.RSQRT_ENTRIES - 1))
    p = (m * (y * y * 2.0**-17).floor_()).mul_(2.0**-21).floor_()
    return (y * (3 * 2.0**20 - p)).mul_(2.0**-22).floor_().clamp_(max=2.0**16 - 1), e


@cache
def _rsqrt_tables(device: torch.device) -> tuple[Tensor, Tensor]:
    """Estimates of the reciprocal root, and the factor that gives e's variances 26 bits."""
    powers = [2.0 ** (numerics.RSQRT_MANTISSA_BITS - 2 * e) for e in range(32)]
    return (
        torch.tensor(numerics.rsqrt_table(), dtype=torch.float64, device=device),
        torch.tensor(powers, dtype=torch.float64, device=device),
    )


@fusible
def _rounded(normal: Tensor, factor: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Scale, round and limit (..., width); return codes, and which were not limited."""
    code = torch.addcmul(normal.new_full((), 0.5), normal, factor).floor_()
    y = code.clamp(low, high)
    return y, equal(code, y)


class _NormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, r, log_out, epsilon, low, high):
        width = r.shape[-1]
        gain, shift = _gain_and_shift(log_out)
        variance = epsilon_code(width, epsilon) / width**2
        normal, mean, rstd = torch.native_layer_norm(r, [width], None, None, variance)
        # The hardware's reciprocal root is cut to 16 bits: a token's constant patch would differ
        # in every image without it. The variance in float32 is exact enough to find it.
        root = width / rstd.double()
        k, e = rsqrt_codes((root * root).floor_())
        k = (k * (gain * 2.0**-16)).floor_()
        factor = torch.ldexp(k.mul_(root), 1 - (e + shift)).float()
        y, kept = _rounded(normal, factor, low, high)
        ctx.save_for_backward(r, kept, mean, rstd, torch.ldexp(gain, -shift).float())
        return y

    @staticmethod
    def backward(ctx, gradient):
        r, kept, mean, rstd, scale = ctx.saved_tensors
        g = masked(gradient, kept).mul_(scale)
        g_r, _, _ = torch.ops.aten.native_layer_norm_backward(
            g, r, [r.shape[-1]], mean, rstd, None, None, [True, False, False]
        )
        # The sum of g x (r - mean) x rstd, whose last two factors are not kept as a product.
        along = (torch.linalg.vecdot(g, r) - mean.squeeze(-1) * g.sum(-1)) * rstd.squeeze(-1)
        return g_r, -along.sum(), None, None, None


def norm(r: Tensor, *, log_out: Tensor, epsilon: float, limits: tuple[float, float]) -> Tensor:
    """LayerNorm without affine of residual codes (numerics section 4).

    Parameters
    ----------
    r : Tensor
        (..., width) int16 codes.
    log_out, epsilon
        As in :func:`norm_codes`.
    limits : tuple of float
        Lowest and highest code of the output.

    Returns
    -------
    Tensor
        (..., width) signed activation codes.
    """
    return _NormFunction.apply(r, log_out, epsilon, *limits)
