"""Each operation against real-valued mathematics."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtl.model.numerics import (
    EXP2_ENTRIES,
    IMPORTANCE_BITS,
    IMPORTANCE_HEADS,
    IMPORTANCE_TERM_MAX,
    code_range,
    exp2_table,
    rsqrt_table,
)
from sim.golden import (
    context_scale,
    gelu,
    importance_terms,
    layer_norm,
    patches,
    requantize,
    rsqrt,
    select,
    softmax_weights,
)
from sim.golden.ops import add_residual, matmul
from tests.sim.golden import scalar

V_MAX = 2**50 + 2**32  # width 1024, all residuals at one end, largest epsilon


@pytest.mark.parametrize("act_bits", [4, 6, 8])
def test_tables_equal_sixty_digits(act_bits):
    assert rsqrt_table() == tuple(scalar.RSQRT_TABLE)
    assert exp2_table(act_bits) == tuple(scalar.EXP2_TABLES[act_bits])
    assert len(exp2_table(act_bits)) == EXP2_ENTRIES


@given(
    acc=st.integers(-(2**26) + 1, 2**26 - 1),
    multiplier=st.integers(0, 2**17 - 1),
    shift=st.integers(1, 47),
)
def test_requantize_rounds_half_up(acc, multiplier, shift):
    exact = (2 * acc * multiplier + 2**shift) // 2 ** (shift + 1)  # floor(x + 1/2)
    assert requantize(acc, 0, multiplier, shift, -(2**45), 2**45) == exact
    assert requantize(acc, 0, multiplier, shift, -32, 31) == min(max(exact, -32), 31)


def test_requantize_takes_scales_per_row_and_per_token():
    acc = np.array([[100, 200, 300], [400, 500, 600]])
    by_row = requantize(acc, [0, 0, 4], [1, 1, 3], [1, 2, 3], -128, 127)
    assert by_row.tolist() == [[50, 50, 114], [127, 125, 127]]
    by_token = requantize(acc, 0, [[1], [1]], [[2], [3]], -128, 127)
    assert by_token.tolist() == [[25, 50, 75], [50, 63, 75]]


def test_add_residual_saturates():
    assert add_residual([32000, -32000, 5], [1000, -1000, -3], 0).tolist() == [32767, -32768, 2]
    assert add_residual([0, 0], [-32768, 32767], 15).tolist() == [-32768, 32767]


def test_patches_are_rows_of_pixels_with_channels_inside():
    images = np.arange(4 * 6 * 3).reshape(1, 4, 6, 3)
    cut = patches(images, 2)
    assert cut.shape == (1, 6, 12)
    assert cut[0, 4].tolist() == images[0, 2:4, 2:4].reshape(-1).tolist()


def test_matmul_is_exact_at_the_bound():
    weight = np.full((2, 4096), 127, np.int8)
    weight[1] = -128
    x = np.full((1, 4096), 127)
    assert matmul(x, weight).tolist() == [[4096 * 127 * 127, -4096 * 127 * 128]]


def test_rsqrt_error():
    """Every interval of the table at its ends and at random, for every length of V."""
    rng = np.random.default_rng(0)
    edges = ((np.arange(64, 257) << 18)[:, None] + np.array([-1, 0, 1])).reshape(-1)
    mantissas = np.concatenate([edges, rng.integers(1 << 24, 1 << 26, 200_000)])
    mantissas = mantissas[(mantissas >= 1 << 24) & (mantissas < 1 << 26)]
    k, e = rsqrt(mantissas)
    error = k - 2.0 ** (15 + e) / np.sqrt(mantissas)
    assert -2.32 < error.min() and error.max() < 0.49
    assert k.min() >= 2**15 - 1 and k.max() <= 2**16 - 2


@given(st.integers(1, V_MAX))
def test_rsqrt_equals_scalar_integers(variance):
    assert tuple(int(x) for x in rsqrt(variance)) == scalar.rsqrt(variance)


@pytest.mark.parametrize("variance", [1, 2, 3, 4, 2**26 - 1, 2**26, 2**50 - 1, 2**50, V_MAX])
def test_rsqrt_at_the_ends(variance):
    k, e = (int(x) for x in rsqrt(variance))
    assert (k, e) == scalar.rsqrt(variance)
    assert 4 ** (e - 1) <= variance < 4**e


@pytest.mark.parametrize("width", [64, 192, 384, 768, 1024])
@pytest.mark.parametrize(("act_bits", "signed"), [(4, True), (6, True), (6, False), (8, False)])
def test_layer_norm_is_the_rounded_float_one(width, act_bits, signed):
    rng = np.random.default_rng(width + act_bits)
    outliers = np.where(rng.random(width) < 0.02, 8.0, 1.0)
    scale = np.exp(rng.uniform(3, 8, (2000, 1)))
    residual = rng.standard_normal((2000, width)) * outliers * scale + rng.normal(0, 300, (2000, 1))
    residual = np.clip(np.rint(residual), -32768, 32767).astype(np.int64)
    low, high = code_range(act_bits, signed)
    zero = 0 if signed else 1 << (act_bits - 1)
    exponent = rng.integers(0, 4, width)
    gain, shift = 43_691, 17 - act_bits  # about a third of the signed range per deviation

    codes = layer_norm(
        residual,
        epsilon=width,
        gain=gain,
        shift=shift,
        zero=zero,
        exponent=exponent,
        low=low,
        high=high,
    )
    total = residual.sum(-1, keepdims=True)
    variance = width * (residual**2).sum(-1, keepdims=True) - total**2 + width
    normal = (width * residual - total) / np.sqrt(variance.astype(np.longdouble))
    real = zero + normal * gain / 2.0 ** (1 + shift + exponent)
    expected = np.clip(np.floor(real + 0.5), low, high)
    difference = np.abs(codes - expected)
    assert difference.max() <= 1
    assert (difference == 0).mean() >= 0.999
    assert 1 < codes.std()


def test_layer_norm_of_constants_is_the_zero_point():
    """S1, S2 and A at their limits; V is epsilon alone."""
    for value in (-32768, 0, 32767):
        residual = np.full((1, 1024), value)
        codes = layer_norm(
            residual,
            epsilon=1,
            gain=2**16 - 1,
            shift=0,
            zero=7,
            exponent=np.zeros(1024, int),
            low=0,
            high=63,
        )
        assert set(codes.reshape(-1).tolist()) == {7}


@settings(deadline=None)
@given(
    scores=st.lists(st.integers(-(2**21), 2**21 - 1), min_size=1, max_size=40),
    multiplier=st.integers(1, 2**17 - 1),
    shift=st.integers(0, 47),
    act_bits=st.sampled_from([4, 6, 8]),
)
def test_softmax_weights_equal_scalar_integers(scores, multiplier, shift, act_bits):
    weights = softmax_weights(scores, multiplier, shift, act_bits).tolist()
    assert weights == scalar.softmax(scores, multiplier, shift, act_bits)
    assert weights[scores.index(max(scores))] == 2**act_bits - 1


@given(st.integers(15, 1024 * 255), st.integers(2**15, 2**16 - 1), st.integers(0, 28))
def test_context_scale(total, multiplier, shift):
    m, s = (int(x) for x in context_scale(total, multiplier, shift))
    assert (m, s) == scalar.context_scale(total, multiplier, shift)
    assert 0 < m < 2**17 and 4 <= s <= 46
    assert m / 2**s == pytest.approx(multiplier / 2**shift / total, rel=1e-4)


UNIT = 1024  # score codes per natural unit
EXP_MULTIPLIER, EXP_SHIFT = round(256 * np.log2(np.e) / UNIT * 2**16), 16


def attention_error(logits, values, weights):
    """Relative error of PV: ``(queries, keys)``, ``(keys, dim)``, ``(queries, keys)`` codes.

    The values have no mean, so the average over many keys is small: a severe measure.
    """
    ours = weights @ values / weights.sum(-1, keepdims=True)
    exact = np.exp(logits - logits.max(-1, keepdims=True))
    real = exact @ values / exact.sum(-1, keepdims=True)
    return np.linalg.norm(ours - real) / np.linalg.norm(real)


def weights_of(logits, act_bits):
    scores = np.rint(logits * UNIT).astype(np.int64)
    return softmax_weights(scores, EXP_MULTIPLIER, EXP_SHIFT, act_bits)


def rounded_weights_of(logits, act_bits):
    """With rounding's half in the place of the dither."""
    exact = np.exp(logits - logits.max(-1, keepdims=True))
    return np.floor(exact * (2**act_bits - 1) + 0.5)


# Measured 0.094 0.212 0.023 0.061 0.006 0.015.
@pytest.mark.parametrize(
    ("act_bits", "keys", "limit"),
    [(4, 17, 0.12), (4, 197, 0.26), (6, 17, 0.03), (6, 197, 0.08), (8, 17, 0.008), (8, 197, 0.02)],
)
def test_softmax_of_ordinary_rows(act_bits, keys, limit):
    rng = np.random.default_rng(keys)
    logits = rng.standard_normal((64, keys)) * 1.5
    values = rng.standard_normal((keys, 64))
    assert attention_error(logits, values, weights_of(logits, act_bits)) < limit


@pytest.mark.parametrize("keys", [17, 197, 577])
@pytest.mark.parametrize(("act_bits", "limit"), [(4, 0.04), (6, 0.01), (8, 0.003)])
def test_softmax_of_flat_rows(keys, act_bits, limit):
    rng = np.random.default_rng(keys)
    logits = rng.standard_normal((64, keys)) * 0.05
    values = rng.standard_normal((keys, 64))
    assert attention_error(logits, values, weights_of(logits, act_bits)) < limit


@pytest.mark.parametrize("spread", [0.2, 0.5, 1.0])
def test_dither_keeps_the_tail_beside_a_sink(spread):
    """One key far above 196 others: plain rounding loses the mass of the others."""
    rng = np.random.default_rng(7)
    logits = rng.standard_normal((64, 197)) * spread
    logits[:, 196] = 7
    values = rng.standard_normal((197, 64))
    dithered = attention_error(logits, values, weights_of(logits, 6))
    rounded = attention_error(logits, values, rounded_weights_of(logits, 6))
    assert dithered < 0.08
    assert dithered < rounded / 2


def test_gelu_looks_up_by_signed_code():
    table = np.arange(256) * 3
    assert gelu([[-128, 0], [127, -1]], table).tolist() == [[0, 384], [765, 381]]


@pytest.mark.parametrize("act_bits", [4, 6, 8])
def test_importance_is_the_share_of_the_attention(act_bits):
    rng = np.random.default_rng(act_bits)
    scores = rng.integers(-30_000, 30_000, (200, 197))
    total = softmax_weights(scores, 40_000, 19, act_bits).sum(-1, keepdims=True)
    found = importance_terms(scores, 40_000, 19, act_bits, total)
    distance = scores.max(-1, keepdims=True) - scores
    real = 2.0 ** (-distance * 40_000 / 2**27)
    real *= (2**act_bits - 1) * IMPORTANCE_TERM_MAX / total
    np.testing.assert_allclose(found, real, rtol=0.004, atol=20)
    # The dither hardly changes the sum of the weights.
    np.testing.assert_allclose(found.sum(-1), IMPORTANCE_TERM_MAX, rtol=0.06)


@pytest.mark.parametrize("act_bits", [4, 6, 8])
def test_importance_has_room_for_all_heads(act_bits):
    """One key has all of the attention: the largest term, with R rounded down."""
    top = (1 << act_bits) - 1
    totals = np.arange(top, 1024 * top + 1)[:, None]
    terms = importance_terms([0, -(1 << 21)], (1 << 17) - 1, 0, act_bits, totals)
    assert terms.max() == terms[0, 0] and not terms[:, 1].any()
    assert IMPORTANCE_TERM_MAX * 0.999 < terms[0, 0] <= IMPORTANCE_TERM_MAX
    assert IMPORTANCE_HEADS == 255
    assert IMPORTANCE_HEADS * IMPORTANCE_TERM_MAX < 1 << IMPORTANCE_BITS


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.data())
def test_select_takes_the_largest_and_the_first_of_equal_ones(importance, data):
    keep = data.draw(st.integers(1, len(importance)))
    order = sorted(range(len(importance)), key=lambda j: (-importance[j], j))
    assert select(importance, keep).tolist() == sorted(order[:keep])


def test_select_works_on_each_image():
    assert select([[1, 3, 2], [5, 5, 5]], 2).tolist() == [[1, 2], [0, 1]]
