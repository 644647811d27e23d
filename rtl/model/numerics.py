"""Constants and tables of the integer model, shared by RTL, golden model and NAS.

Source: docs/numerics.md. Nothing in here depends on anything but the standard library.
"""

from fractions import Fraction
from functools import cache
from math import exp2, floor, isqrt

ACC_BITS = 27  # accumulators wrap at this width
SCORE_BITS = 22  # raw attention scores
BIAS_BITS = ACC_BITS
MULTIPLIER_BITS = 17  # unsigned; one 18-bit DSP port
SHIFT_BITS = 6
SHIFT_MAX = 47
RESIDUAL_BITS = 16
LOGIT_BITS = 32  # in memory: STORE widens the residual stream's
KV_BITS = 8  # keys, values and the input of the GELU table
WEIGHT_BITS = (4, 8)
ACT_BITS = (4, 6, 8)
ATOM_BITS = 4  # weights travel as nibbles
IMPORTANCE_BITS = 24  # of a patch, unsigned: the sum over the heads
IMPORTANCE_TERM_MAX = 1 << 16  # of one head
IMPORTANCE_HEADS = ((1 << IMPORTANCE_BITS) - 1) // IMPORTANCE_TERM_MAX  # of a block that selects

MAX_WIDTH = 1024
MAX_TOKENS = 1024
VARIANCE_BITS = 51  # V = width * S2 - S1**2 + epsilon

RSQRT_MANTISSA_BITS = 26
RSQRT_INDEX_SHIFT = 18
RSQRT_INDEX_OFFSET = 64
RSQRT_ENTRIES = 192
NORM_EXPONENT_BITS = 2

EXP2_FRACTION_BITS = 8
EXP2_ENTRIES = 1 << EXP2_FRACTION_BITS
EXP2_MAX = 4095  # distances from the maximum saturate here: the weight is then 0
DITHER_STEP = 159
RECIPROCAL_BITS = 17


def code_range(bits: int, signed: bool) -> tuple[int, int]:
    """Lowest and highest value of a code of ``bits`` bits."""
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


@cache
def exp2_table(act_bits: int) -> tuple[int, ...]:
    """``floor((2**act_bits - 1) * 256 * 2**(-f/256) + 1/2)`` for f = 0 ... 255."""
    top = ((1 << act_bits) - 1) << 8
    return tuple(floor(top * exp2(-f / EXP2_ENTRIES) + 0.5) for f in range(EXP2_ENTRIES))


@cache
def rsqrt_table() -> tuple[int, ...]:
    """``floor(2**16 / sqrt((i + 64.5) / 256) + 1/2)`` for i = 0 ... 191, computed exactly."""

    def entry(i: int) -> int:
        square = Fraction(2**32 * 512, 2 * (i + RSQRT_INDEX_OFFSET) + 1)
        return (isqrt(floor(4 * square)) + 1) // 2

    return tuple(entry(i) for i in range(RSQRT_ENTRIES))


def dither(key: int) -> int:
    """Ordered dither that key index ``key`` adds to its attention weight, in 1/256 of a code."""
    return DITHER_STEP * key & 0xFF
