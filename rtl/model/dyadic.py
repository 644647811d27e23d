"""Real scales as an integer multiplier and a right shift."""

from math import floor, frexp, isfinite

from rtl.model.numerics import MULTIPLIER_BITS, SHIFT_MAX


def dyadic(
    scale: float, bits: int = MULTIPLIER_BITS, low: int = 1, high: int = SHIFT_MAX
) -> tuple[int, int]:
    """Nearest ``multiplier / 2**shift`` to a scale, with as many multiplier bits as will fit.

    Parameters
    ----------
    scale : float
        Positive.
    bits : int
        Width of the unsigned multiplier; its top bit is set unless ``high`` forbids it.
    low, high : int
        Range of the shift.

    Returns
    -------
    multiplier, shift : int

    Raises
    ------
    ValueError
        If the scale is not positive, or too large for the smallest shift.
    """
    if not (isfinite(scale) and scale > 0):
        raise ValueError(f"scale must be positive, not {scale}")
    shift = min(bits - frexp(scale)[1], high)
    multiplier = floor(scale * 2.0**shift + 0.5)
    if multiplier == 1 << bits:
        multiplier, shift = multiplier >> 1, shift - 1
    if shift < low:
        raise ValueError(f"scale {scale} needs a shift of {shift}, the least is {low}")
    return multiplier, shift
