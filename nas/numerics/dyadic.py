"""Factors between codes, as the integer model stores them: ``multiplier * 2**-shift``."""

import torch
from torch import Tensor

from nas.numerics.codes import round_half_up
from rtl.model import numerics


def dyadic_value(value: Tensor, bits: int = numerics.MULTIPLIER_BITS) -> Tensor:
    """Round positive factors to ``bits`` significant bits, halves up: float32, the same shape.

    These are the factors that a multiplier of ``bits`` bits and a shift can express. Works on the
    float32 itself, whose significand has 24 bits: three operations instead of a dozen.
    """
    dropped = 24 - bits
    rounded = (value.view(torch.int32) + (1 << (dropped - 1))) & -(1 << dropped)
    return rounded.view(torch.float32)


def dyadic(
    value: Tensor, bits: int = numerics.MULTIPLIER_BITS, shifts: tuple[int, int] = (1, 47)
) -> tuple[Tensor, Tensor]:
    """Split positive factors into ``multiplier * 2**-shift``: :func:`dyadic_value`, taken apart.

    Parameters
    ----------
    value : Tensor
        Any shape, float32, > 0.
    bits : int
        Bits of the multiplier; its highest bit is set unless the shift's limit prevents that.
    shifts : tuple of int
        Lowest and highest shift.

    Returns
    -------
    multiplier, shift : Tensor
        int64, the shape of ``value``.
    """
    value = dyadic_value(value, bits).double()
    _, exponent = torch.frexp(value)
    shift = (bits - exponent).clamp(*shifts)
    multiplier = round_half_up(torch.ldexp(value, shift)).clamp(1, (1 << bits) - 1)
    return multiplier.long(), shift.long()
