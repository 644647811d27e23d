"""The operations of the integer model, each as docs/numerics.md states it.

All take integer arrays (or plain integers) of any shape that broadcasts, and return int64 codes.
"""

import numpy as np
from numpy.typing import ArrayLike

from rtl.model.numerics import (
    DITHER_STEP,
    EXP2_FRACTION_BITS,
    EXP2_MAX,
    RESIDUAL_BITS,
    RSQRT_INDEX_OFFSET,
    RSQRT_INDEX_SHIFT,
    RSQRT_MANTISSA_BITS,
    code_range,
    exp2_table,
    rsqrt_table,
)

INT8 = code_range(8, signed=True)
INT16 = code_range(RESIDUAL_BITS, signed=True)


def patches(images: np.ndarray, patch: int) -> np.ndarray:
    """Cut images into patches (numerics section 3).

    ``(batch, height, width, channels)`` to ``(batch, patches, patch * patch * channels)``.
    """
    batch, height, width, channels = images.shape
    down, across = height // patch, width // patch
    cut = images.reshape(batch, down, patch, across, patch, channels)
    return cut.swapaxes(2, 3).reshape(batch, down * across, patch * patch * channels)


def matmul(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Accumulators of a linear layer: ``(..., tokens, depth) x (..., rows, depth)`` to
    ``(..., tokens, rows)`` int64.

    In float64, which BLAS multiplies 13 to 30 times faster than integers are, and exact: the
    products of a valid model sum up to less than 2**26 in magnitude, far below 2**53.
    """
    product = x.astype(np.float64) @ np.swapaxes(weight, -1, -2).astype(np.float64)
    return product.astype(np.int64)


def requantize(
    acc: ArrayLike,
    bias: ArrayLike,
    multiplier: ArrayLike,
    shift: ArrayLike,
    low: int,
    high: int,
) -> np.ndarray:
    """Rescale accumulators to codes (section 2).

    ``clip(((acc + bias) * multiplier + (1 << (shift - 1))) >> shift, low, high)``

    Parameters
    ----------
    acc : (..., tokens, rows)
    bias, multiplier, shift : broadcast to ``acc``: per row, or per token
        ``shift`` is at least 1.
    low, high : int
        Range of the destination's code.
    """
    bias, multiplier, shift = _int64(bias, multiplier, shift)
    half = np.int64(1) << (shift - 1)
    scaled = (np.asarray(acc, np.int64) + bias) * multiplier
    scaled += half
    scaled >>= shift
    return np.clip(scaled, low, high)


def add_residual(residual: ArrayLike, y: ArrayLike, shift: int) -> np.ndarray:
    """Add codes of the residual stream with saturation: ``clip(r + (y << shift), int16)``."""
    r, y = _int64(residual, y)
    return np.clip(r + (y << shift), *INT16)


def rsqrt(variance: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Reciprocal square root of V >= 1, at most 51 bits (section 4).

    Returns
    -------
    k : about ``2**(15 + e) / sqrt(V)``, 16 bits
    e : half of V's length in bits, rounded up
    """
    v = np.asarray(variance, np.int64)
    e = (_bit_length(v) + 1) >> 1
    surplus = 2 * e - RSQRT_MANTISSA_BITS
    mantissa = (v << np.maximum(-surplus, 0)) >> np.maximum(surplus, 0)
    table = np.array(rsqrt_table(), np.int64)
    y0 = table[(mantissa >> RSQRT_INDEX_SHIFT) - RSQRT_INDEX_OFFSET]
    q = (y0 * y0) >> 17
    p = (mantissa * q) >> 21
    return (y0 * ((3 << 20) - p)) >> 22, e


def layer_norm(
    residual: ArrayLike,
    *,
    epsilon: int,
    gain: int,
    shift: int,
    zero: int,
    exponent: ArrayLike,
    low: int,
    high: int,
) -> np.ndarray:
    """Normalise tokens (section 4): about ``zero + normal * gain / 2**(1 + shift + exponent)``.

    Parameters
    ----------
    residual : (..., tokens, width)
        int16 codes.
    epsilon, gain, shift, zero : int
        As in :class:`rtl.model.Norm`.
    exponent : (width,)
    low, high : int
        Range of the output code.

    Returns
    -------
    (..., tokens, width)
    """
    r, exponent = _int64(residual, exponent)
    width = r.shape[-1]
    s1 = r.sum(axis=-1, keepdims=True)
    s2 = (r * r).sum(axis=-1, keepdims=True)
    k, e = rsqrt(width * s2 - s1 * s1 + epsilon)
    k = (k * gain) >> 16
    total_shift = e + shift + exponent
    half = np.int64(1) << (total_shift - 1)
    normal = (r * (width * k) - s1 * k + half) >> total_shift
    return np.clip(zero + normal, low, high)


def softmax_weights(
    scores: ArrayLike, multiplier: ArrayLike, shift: ArrayLike, act_bits: int
) -> np.ndarray:
    """Attention weights relative to the row's maximum, not normalised (section 5).

    Parameters
    ----------
    scores : (..., queries, keys)
    multiplier, shift : broadcast to ``scores``
        For ``(heads, queries, keys)`` give ``(heads, 1, 1)``.
    act_bits : int

    Returns
    -------
    (..., queries, keys), 0 ... 2**act_bits - 1
    """
    w = _exact_weights(scores, multiplier, shift, act_bits)
    dither = (DITHER_STEP * np.arange(w.shape[-1])) & 0xFF
    return (w + dither) >> 8


def importance_terms(
    scores: ArrayLike, multiplier: ArrayLike, shift: ArrayLike, act_bits: int, total: ArrayLike
) -> np.ndarray:
    """Parts of one head in the importance of each key for the class token (section 5).

    Parameters
    ----------
    scores : (..., keys)
        Of the class token as the query.
    multiplier, shift : broadcast to ``scores``
    act_bits : int
    total : broadcast to ``scores``
        Sum of the query's attention weights, :func:`softmax_weights`.

    Returns
    -------
    (..., keys), 0 ... 2**16: a share of the attention, in 2**-16
    """
    w = _exact_weights(scores, multiplier, shift, act_bits)
    reciprocal, length = _reciprocal(total)
    return (w * reciprocal) >> (length + 7)


def select(importance: ArrayLike, keep: int) -> np.ndarray:
    """Indices of the ``keep`` largest, ascending; of equal ones the lower index (section 5).

    ``(..., patches)`` to ``(..., keep)``.
    """
    order = np.argsort(-np.asarray(importance, np.int64), axis=-1, kind="stable")
    return np.sort(order[..., :keep], axis=-1)


def context_scale(
    total: ArrayLike, multiplier: ArrayLike, shift: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Multiplier and shift that divide a context accumulator by its weights' sum (section 5).

    Parameters
    ----------
    total : (..., queries)
        Sums of attention weights, at least 1.
    multiplier, shift : broadcast to ``total``
        Constants of the head.

    Returns
    -------
    multiplier, shift : like ``total``, for :func:`requantize`
    """
    c, s = _int64(multiplier, shift)
    reciprocal, length = _reciprocal(total)
    return (reciprocal * c) >> 15, length + s


def gelu(codes: ArrayLike, table: ArrayLike) -> np.ndarray:
    """Look up the hidden code of each int8 pre-activation (section 6)."""
    return np.asarray(table, np.int64)[np.asarray(codes, np.int64) + 128]


def _exact_weights(
    scores: ArrayLike, multiplier: ArrayLike, shift: ArrayLike, act_bits: int
) -> np.ndarray:
    """Attention weights with 8 more bits, before dither and rounding: w of section 5."""
    s, multiplier, shift = _int64(scores, multiplier, shift)
    distance = s.max(axis=-1, keepdims=True) - s
    u = np.minimum(EXP2_MAX, (distance * multiplier) >> shift)
    table = np.array(exp2_table(act_bits), np.int64)
    fraction, octaves = u & ((1 << EXP2_FRACTION_BITS) - 1), u >> EXP2_FRACTION_BITS
    return table[fraction] >> octaves


def _reciprocal(total: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """R and L of section 5: ``2**(15 + L) div total``, and the total's length in bits."""
    [e_sum] = _int64(total)
    length = _bit_length(e_sum)
    return (np.int64(1) << (15 + length)) // e_sum, length


def _int64(*arrays: ArrayLike) -> tuple[np.ndarray, ...]:
    return tuple(np.asarray(array, np.int64) for array in arrays)


def _bit_length(x: np.ndarray) -> np.ndarray:
    """``int.bit_length`` of positive integers below 2**53, which float64 holds exactly."""
    return np.frexp(x.astype(np.float64))[1].astype(np.int64)
