"""The figures of docs/design/0003-attention-dither.md: error of PV beside an attention sink."""

import numpy as np
import pytest

from rtl.model.numerics import EXP2_MAX, exp2_table
from sim.golden.ops import softmax_weights

ACT_BITS = 6
UNIT = 1024  # score codes per natural unit
MULTIPLIER, SHIFT = round(256 * np.log2(np.e) / UNIT * 2**16), 16


def dithered(scores):
    return softmax_weights(scores, MULTIPLIER, SHIFT, ACT_BITS)


def with_term(scores, term):
    """As :func:`softmax_weights`, with another term (keys,) in the place of the dither."""
    u = np.minimum(EXP2_MAX, (scores.max(-1, keepdims=True) - scores) * MULTIPLIER >> SHIFT)
    return ((np.array(exp2_table(ACT_BITS))[u & 0xFF] >> (u >> 8)) + term) >> 8


def rounded(scores):
    return with_term(scores, np.int64(128))


def bit_reversed(scores):
    keys = range(scores.shape[-1])
    return with_term(scores, np.array([int(f"{key & 0xFF:08b}"[::-1], 2) for key in keys]))


def error(weights_of, logits, values):
    """Relative error of PV, root mean square over queries and dimensions."""
    weights = weights_of(np.rint(logits * UNIT).astype(np.int64))
    ours = weights @ values / weights.sum(-1, keepdims=True)
    exact = np.exp(logits - logits.max(-1, keepdims=True))
    real = exact @ values / exact.sum(-1, keepdims=True)
    return np.linalg.norm(ours - real) / np.linalg.norm(real)


def beside_a_sink(sink, spread, values, rng):
    """(queries, keys) logits of normal spread, one key of each row at ``sink``."""
    logits = rng.normal(0, spread, (400, len(values)))
    logits[np.arange(400), rng.integers(len(values), size=400)] = sink
    return logits


# 197 keys, values without mean: error in percent with dither, and with plain rounding.
RANDOM_VALUES = {
    (3, 0.2): (7.4, 5.2),
    (3, 1.0): (5.0, 3.6),
    (4, 0.2): (8.1, 7.6),
    (4, 1.0): (7.7, 5.7),
    (5, 0.2): (10.8, 45.2),
    (5, 1.0): (9.2, 11.5),
    (6, 0.2): (8.2, 49.6),
    (6, 1.0): (8.6, 27.1),
    (7, 0.2): (5.4, 18.3),
    (7, 1.0): (6.7, 23.5),
    (8, 0.2): (3.4, 6.7),
    (8, 1.0): (4.7, 10.6),
}


@pytest.mark.parametrize("case", RANDOM_VALUES, ids=str)
def test_error_beside_a_sink(case: tuple[int, float]):
    found = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        values = rng.normal(0, 1, (197, 64))
        sink, spread = case
        logits = beside_a_sink(sink, spread, values, rng)
        found.append(
            [100 * error(weights_of, logits, values) for weights_of in (dithered, rounded)]
        )
    assert np.mean(found, axis=0) == pytest.approx(RANDOM_VALUES[case], rel=0.1)


# Values that alternate from one column of patches to the next, or from one row to the next, by the
# width of the grid; a sink of +7 in the class token: error in percent with dither, with bit
# reversal in its place, and with plain rounding.
PATTERNS = {
    ("columns", 7): (3.4, 5.7, 7.6),
    ("columns", 8): (2.8, 7.7, 11.1),
    ("columns", 14): (4.3, 23.9, 32.7),
    ("columns", 16): (4.1, 33.6, 41.7),
    ("rows", 7): (4.0, 6.3, 7.6),
    ("rows", 8): (2.7, 7.3, 11.1),
    ("rows", 14): (4.5, 4.4, 32.7),
    ("rows", 16): (30.7, 6.7, 41.7),
}


@pytest.mark.parametrize("case", PATTERNS, ids=str)
def test_error_on_alternating_patches(case):
    direction, width = case
    key = np.arange(width * width)
    odd = (key % width if direction == "columns" else key // width) % 2
    found = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        values = np.vstack([np.outer(odd, rng.normal(0, 1, 64)), rng.normal(0, 0.3, (1, 64))])
        logits = rng.normal(0, 0.2, (200, len(values)))
        logits[:, -1] = 7
        methods = (dithered, bit_reversed, rounded)
        found.append([100 * error(weights_of, logits, values) for weights_of in methods])
    assert np.mean(found, axis=0) == pytest.approx(PATTERNS[case], rel=0.1)
