"""The operations of docs/numerics.md in standard operators of ONNX, every code equal.

Codes and sums are int64, in which everything of docs/numerics.md fits. Two things need care.

*A floor shift.* ONNX shifts unsigned integers alone, and divides towards zero. So 2**LIFT_BITS is
added, the shift is that of uint64, and 2**(LIFT_BITS - shift) is subtracted.

*A product of matrices.* ``MatMulInteger`` takes uint8 and int8, and some CPUs add two neighbouring
products in int16 and saturate there. It is used where the weights prove that no two products do,
else ``MatMul`` of whole numbers in floating point, in which no sum is rounded: in float32 where the
magnitudes of all terms add up to at most 2**24, in float64 otherwise, where they are below 2**53.

Reference: sim.golden.ops.
"""

from typing import Literal

import numpy as np

from nas.export_onnx.graph import GraphWriter, Operand
from rtl.model import HeadScales, Linear, Norm, Pool, numerics
from rtl.model.numerics import RESIDUAL_BITS, code_range
from rtl.model.parts import magnitude

Codes = tuple[int, int]
"""Lowest and highest code."""

INT8: Codes = code_range(8, signed=True)
INT16: Codes = code_range(RESIDUAL_BITS, signed=True)
PIXELS: Codes = code_range(8, signed=False)
LIFT_BITS = 48
"""More than any shift, and than the bits of whatever is shifted."""
LENGTH_BITS = 18  # of a sum of attention weights: at most 1,024 * 255
PAIR_MAX = INT16[1]
EXACT_FLOAT32 = 1 << 24

Product = Literal["integer", "float32", "float64"]

# --- whole numbers -------------------------------------------------------------------------------


def shifted(g: GraphWriter, x: Operand, amount: Operand) -> Operand:
    """``x >> amount`` of numbers that are not negative."""
    if not isinstance(x, str) and not isinstance(amount, str):
        return np.right_shift(x, amount)
    bits = g.node("BitShift", g.cast(x, np.uint64), g.cast(amount, np.uint64), direction="RIGHT")
    return g.cast(bits, np.int64)


def power(g: GraphWriter, exponent: Operand) -> Operand:
    """``2**exponent``, exponents 0 ... 62."""
    if not isinstance(exponent, str):
        return np.left_shift(1, exponent)
    bits = g.node("BitShift", np.uint64(1), g.cast(exponent, np.uint64), direction="LEFT")
    return g.cast(bits, np.int64)


def rounded(g: GraphWriter, x: Operand, shift: Operand, plus: Operand = 0) -> Operand:
    """``(x + plus + (1 << (shift - 1))) >> shift``, magnitudes below ``2**(LIFT_BITS - 1)``.

    Parameters
    ----------
    x : value
    shift : value or constant, broadcast to ``x``
        1 ... LIFT_BITS.
    plus : constant, broadcast to ``x``
    """
    lift = 1 << LIFT_BITS
    half = power(g, g.minus(shift, 1))
    lifted = g.plus(x, g.plus(g.plus(half, lift), plus))
    return g.minus(shifted(g, lifted, shift), shifted(g, lift, shift))


def clipped(g: GraphWriter, x: Operand, codes: Codes) -> str:
    return g.node("Clip", x, *codes)


def bit_length(g: GraphWriter, x: str, bits: int, step: int = 1) -> str:
    """Bits of numbers x >= 1 with at most ``bits``, (..., 1); with ``step`` 2, half of them,
    rounded up: the powers of ``2**step`` that are not greater.
    """
    powers = np.left_shift(1, np.arange(0, bits, step))
    reached = g.cast(g.node("GreaterOrEqual", x, powers), np.int64)
    return g.node("ReduceSum", reached, np.array([-1]))


# --- sums of products ----------------------------------------------------------------------------


def product_of(codes: Codes, pair: int, total: int) -> Product:
    """Choose how to multiply so that no sum is rounded or saturates.

    Parameters
    ----------
    codes : (lowest, highest)
        Of the left operand, of at most 8 bits; as uint8 they begin at 0.
    pair, total : int
        Largest sum of the magnitudes of two, and of all, terms of a column of the right operand.
    """
    if (codes[1] - codes[0]) * pair <= PAIR_MAX:
        return "integer"
    return "float32" if magnitude(codes) * total <= EXACT_FLOAT32 else "float64"


def multiply(g: GraphWriter, x: str, y: str, codes: Codes, how: Product) -> Operand:
    """Accumulators ``x @ y``: (..., tokens, depth) codes by (..., depth, rows) int8 codes.

    ``y`` may be a stored int8 constant, which stays one, whatever multiplies.
    """
    if how != "integer":
        kind = np.float32 if how == "float32" else np.float64
        return g.cast(g.node("MatMul", g.cast(x, kind), g.cast(y, kind)), np.int64)
    low = codes[0]
    left = g.cast(g.minus(x, low) if low else x, np.uint8)
    right = y if y in g.constants else g.cast(y, np.int8)
    return g.cast(g.node("MatMulInteger", left, right, np.uint8(-low)), np.int64)


def linear(g: GraphWriter, x: str, layer: Linear, inputs: Codes, outputs: Codes) -> str:
    """A layer with stored weights (section 2): (..., depth) codes to (..., rows) codes."""
    magnitudes = np.sort(np.abs(layer.weight.astype(np.int64)), axis=1)
    pair, total = (int(part.sum(axis=1).max()) for part in (magnitudes[:, -2:], magnitudes))
    weight = g.named(layer.weight.T, "weight")
    acc = multiply(g, x, weight, inputs, product_of(inputs, pair, total))
    return requantize(g, acc, layer, outputs)


def requantize(g: GraphWriter, acc: Operand, scales: Linear | Pool, codes: Codes) -> str:
    """Rescale accumulators by the bias, multiplier and shift of their row (section 2)."""
    multiplier, shift = scales.multiplier.astype(np.int64), scales.shift.astype(np.int64)
    scaled = g.times(acc, multiplier)
    return clipped(g, rounded(g, scaled, shift, plus=scales.bias * multiplier), codes)


def add_to(g: GraphWriter, residual: Operand, x: str, layer: Linear, inputs: Codes) -> str:
    """Add a layer's result to the residual stream, with saturation (section 3)."""
    return add_codes(g, residual, linear(g, x, layer, inputs, INT16), layer.residual_shift)


def add_codes(g: GraphWriter, residual: Operand, y: Operand, shift: int) -> str:
    return clipped(g, g.plus(residual, g.times(y, 1 << shift) if shift else y), INT16)


# --- LayerNorm, attention, GELU ------------------------------------------------------------------


def layer_norm(g: GraphWriter, r: str, norm: Norm, width: int, codes: Codes) -> str:
    """Normalise tokens (section 4): (..., tokens, width) residual words to codes."""
    last = np.array([-1])
    s1, s2 = g.node("ReduceSum", r, last), g.node("ReduceSum", g.times(r, r), last)
    variance = g.minus(g.plus(g.times(s2, width), norm.epsilon), g.times(s1, s1))
    k, e = _rsqrt(g, g.named(variance))
    k = shifted(g, g.times(k, norm.gain), 16)
    exponent = norm.exponent.astype(np.int64)
    if not exponent.any():
        exponent = exponent[:1]  # one shift per token
    x = g.minus(g.times(r, g.times(k, width)), g.times(s1, k))
    normal = rounded(g, x, g.plus(e, exponent + norm.shift))
    return clipped(g, g.plus(normal, norm.zero) if norm.zero else normal, codes)


def _rsqrt(g: GraphWriter, variance: str) -> tuple[Operand, str]:
    """About ``2**(15 + e) / sqrt(variance)``, and e: half of the variance's bits, rounded up."""
    e = bit_length(g, variance, numerics.VARIANCE_BITS, step=2)
    # Both shifts of the mantissa in one: first to 52 bits, which is never to the right.
    top = 2 * numerics.RSQRT_MANTISSA_BITS
    left = g.times(variance, power(g, g.minus(top, g.times(e, 2))))
    mantissa = shifted(g, left, top - numerics.RSQRT_MANTISSA_BITS)
    index = g.minus(shifted(g, mantissa, numerics.RSQRT_INDEX_SHIFT), numerics.RSQRT_INDEX_OFFSET)
    y0 = g.node("Gather", np.array(numerics.rsqrt_table()), index)
    y1 = shifted(g, g.times(y0, y0), 17)
    y2 = shifted(g, g.times(mantissa, y1), 21)
    return shifted(g, g.times(y0, g.minus(3 << 20, y2)), 22), e


def exact_weights(g: GraphWriter, scores: str, scales: HeadScales, act_bits: int) -> str:
    """Attention weights before dither and rounding (section 5): w, (heads, queries, keys)."""
    multiplier, shift = per_head(scales)
    distance = g.minus(g.node("ReduceMax", scores, np.array([-1])), scores)
    octaves = shifted(g, g.times(distance, multiplier), shift)
    u = g.node("Min", octaves, numerics.EXP2_MAX)
    # By distance, octaves and fraction together: one look-up for table and shift.
    table, distances = np.array(numerics.exp2_table(act_bits)), np.arange(numerics.EXP2_MAX + 1)
    return g.node("Gather", table[distances & 0xFF] >> (distances >> 8), u)


def dithered(g: GraphWriter, weights: str, keys: int) -> Operand:
    """Attention weights as they multiply values (section 5): e, (heads, queries, keys)."""
    return shifted(g, g.plus(weights, np.array([numerics.dither(j) for j in range(keys)])), 8)


def importance(g: GraphWriter, exact: str, weights: str) -> str:
    """Importance of each key (section 5), (keys,).

    Parameters
    ----------
    exact, weights : (heads, 1, keys)
        The class token's :func:`exact_weights` and :func:`dithered` ones.
    """
    reciprocal, length = _reciprocal(g, weights)
    terms = shifted(g, g.times(exact, reciprocal), g.plus(length, 7))
    return g.node("ReduceSum", terms, np.array([1, 2]), keepdims=0)


def select(g: GraphWriter, importance: str, keep: int, patches: int) -> str:
    """Indices of the largest of (patches,), ascending; of equal ones the lower (section 5)."""
    # The index below the importance: no two are equal then, and 34 bits hold both.
    index = np.arange(patches - 1, -1, -1)
    return g.largest(g.named(g.plus(g.times(importance, patches), index)), keep)


def context(g: GraphWriter, acc: Operand, weights: str, scales: HeadScales, codes: Codes) -> str:
    """Divide the sums of values by those of the attention weights (section 5)."""
    multiplier, shift = per_head(scales)
    reciprocal, length = _reciprocal(g, weights)
    scale = shifted(g, g.times(reciprocal, multiplier), 15)
    return clipped(g, rounded(g, g.times(acc, scale), g.plus(length, shift)), codes)


def _reciprocal(g: GraphWriter, weights: str) -> tuple[str, str]:
    """R and L of section 5, (..., 1), of the sums of attention weights."""
    total = g.node("ReduceSum", weights, np.array([-1]))
    length = bit_length(g, total, LENGTH_BITS)
    return g.node("Div", power(g, g.plus(length, 15)), total), length  # both are positive


def gelu(g: GraphWriter, codes: str, tables: np.ndarray, offsets: Operand) -> str:
    """Look up hidden codes (section 6) in one or several tables of 256 entries.

    Parameters
    ----------
    codes : (..., units) int8 codes
    tables : (tables, 256) or (256,)
    offsets : int or (units,)
        Entries of the tables before the one for the unit's code 0.
    """
    return g.node("Gather", tables.astype(np.int64).reshape(-1), g.plus(codes, offsets))


def per_head(scales: HeadScales) -> tuple[np.ndarray, np.ndarray]:
    """Multipliers and shifts as (heads, 1, 1)."""
    return np.array(scales.multiplier)[:, None, None], np.array(scales.shift)[:, None, None]
