"""Operations in ONNX equal golden's at the ends of their ranges; no product can saturate."""

import numpy as np
import pytest

from nas.export_onnx import operations as ops
from nas.export_onnx.graph import GraphWriter
from rtl.model import HeadScales, Linear, Norm, numerics
from rtl.model.numerics import code_range
from sim import golden
from sim.golden import ops as reference
from tests.nas.export_onnx.test_graph import run

SIX = code_range(6, signed=True)


def layer(weight: np.ndarray, bias: int = 0, multiplier: int = 1 << 16, shift: int = 16) -> Linear:
    rows = len(weight)
    return Linear(
        weight=weight.astype(np.int8),
        bits=np.full(rows, 8, np.uint8),
        bias=np.full(rows, bias, np.int32),
        multiplier=np.full(rows, multiplier, np.uint32),
        shift=np.full(rows, shift, np.uint8),
    )


def kinds(g: GraphWriter) -> set[str]:
    return {node.op_type for node in g.nodes}


# ------------------------------------------------------------ whole numbers


def test_a_rounded_shift_floors():
    rng = np.random.default_rng(0)
    shift = np.arange(1, ops.LIFT_BITS + 1).repeat(40)
    x = rng.integers(-(2**46), 2**46, shift.size) >> rng.integers(0, 46, shift.size)
    x[::40], x[1::40], x[2::40] = 0, 2**46, -(2**46)
    x[3::40], x[4::40] = (1 << (shift[::40] - 1)) - 1, -(1 << (shift[::40] - 1)) - 1
    expected = [(a + (1 << (s - 1))) >> s for a, s in zip(x.tolist(), shift.tolist(), strict=True)]
    g = GraphWriter()
    np.testing.assert_array_equal(run(g, g.named(ops.rounded(g, "x", shift)), x), expected)
    # The same where the shift is computed.
    g = GraphWriter()
    computed = g.plus(g.times("x", 0), shift)
    np.testing.assert_array_equal(run(g, g.named(ops.rounded(g, "x", computed)), x), expected)


def test_division_would_not_do():
    """Negative halves: -3 / 2 and -5 / 4, rounded up."""
    g = GraphWriter()
    found = run(g, g.named(ops.rounded(g, "x", np.array([1, 2, 2]))), np.array([-3, -5, -7]))
    assert found.tolist() == [-1, -1, -2]


@pytest.mark.parametrize(("bits", "step"), [(18, 1), (51, 2)])
def test_bit_lengths_at_powers_of_two(bits, step):
    values = sorted({1 << b for b in range(bits)} | {(1 << b) - 1 for b in range(1, bits + 1)})
    g = GraphWriter()
    found = run(g, ops.bit_length(g, "x", bits, step), np.array(values)[:, None])
    assert found[:, 0].tolist() == [-(-value.bit_length() // step) for value in values]


def test_reciprocal_roots():
    rng = np.random.default_rng(0)
    some = rng.integers(1, 2**51, 2000) >> rng.integers(0, 50, 2000)
    powers = 1 << np.arange(51)
    variance = np.maximum(np.concatenate([some, powers, powers - 1, 2 * powers[:-1] + 1]), 1)
    g = GraphWriter()
    k, e = ops._rsqrt(g, "x")
    x = variance[:, None]
    found = run(g, g.named(k), x)[:, 0], run(g, e, x)[:, 0]
    np.testing.assert_array_equal(found, golden.rsqrt(variance))


# ------------------------------------------------------------ products


@pytest.mark.parametrize(
    ("codes", "pair", "total", "how"),
    [
        (code_range(4, True), 256, 1 << 17, "integer"),
        (SIX, 256, 1 << 17, "integer"),  # every 6-bit code: 63 * 256 fits
        (code_range(8, True), 128, 1 << 17, "integer"),  # 255 * 128 = 32,640
        (code_range(8, True), 129, 1 << 17, "float32"),
        (code_range(8, False), 128, 1 << 17, "integer"),
        (code_range(8, False), 129, 65_793, "float32"),  # 255 * 65,793 = 2**24 - 1
        (code_range(8, False), 129, 65_794, "float64"),
        (code_range(8, True), 129, 131_072, "float32"),  # 128 * 131,072 = 2**24
        (code_range(8, True), 129, 131_073, "float64"),
    ],
)
def test_how_products_are_chosen(codes, pair, total, how):
    assert ops.product_of(codes, pair, total) == how


@pytest.mark.parametrize("bits", [4, 6, 8])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("largest", [7, 64, 127])
def test_no_pair_saturates_where_integers_multiply(bits, signed, largest):
    """Ends of all codes by ends of all weights, as 16-bit adders would add them."""
    codes = code_range(bits, signed)
    if ops.product_of(codes, 2 * (largest + 1), 1 << 17) == "integer":
        raised = np.array([0, codes[1] - codes[0]])  # as uint8
        pairs = [2 * int(x) * w for x in raised for w in (-largest - 1, largest)]
        assert -(1 << 15) <= min(pairs) and max(pairs) < 1 << 15
    else:
        assert (bits, largest) in {(8, 64), (8, 127)}


@pytest.mark.parametrize(
    ("value", "depth", "how"),
    [(64, 1000, "MatMulInteger"), (127, 500, "MatMul"), (127, 1000, "MatMul")],
)
@pytest.mark.parametrize("signed", [True, False])
def test_sums_at_the_ends(value, depth, how, signed):
    """Largest codes and weights, and one less: odd sums that float32 would round."""
    codes = code_range(8, signed)
    weight = np.full((2, depth), value)
    weight[1] = -value
    weight[:, 0] -= np.sign(weight[:, 0])
    x = np.array([[codes[1]] * depth, [codes[0]] * depth, [codes[1]] * (depth - 1) + [codes[0]]])
    matrix = layer(weight, multiplier=(1 << 16) + 1, shift=17)
    g = GraphWriter()
    found = run(g, ops.linear(g, "x", matrix, codes, (-(1 << 30), 1 << 30)), x)
    acc = x.astype(object) @ matrix.weight.T.astype(object)
    np.testing.assert_array_equal(found, (acc * 65537 + 65536) // 131072)
    assert kinds(g) & {"MatMul", "MatMulInteger"} == {how}


def test_weights_decide_layer_by_layer():
    """Two large weights in one row; apart, each is harmless."""
    weight = np.zeros((2, 4))
    weight[0, 1], weight[1, 2] = 127, 127
    for both, how in ((weight, "MatMulInteger"), (weight[:1] + weight[1:], "MatMul")):
        g = GraphWriter()
        ops.linear(g, "x", layer(both), ops.PIXELS, ops.INT8)
        assert how in kinds(g)


def test_weights_stay_int8_in_the_file():
    for bits in (6, 8):
        g = GraphWriter()
        weight = np.full((3, 2), 127)
        weight[0, 0] = 5
        ops.linear(g, "x", layer(weight), code_range(bits, True), ops.INT8)
        stored = g.constants["weight"]
        assert (tuple(stored.dims), stored.data_type) == ((2, 3), 3)  # INT8


# ------------------------------------------------------------ LayerNorm, attention, GELU


@pytest.mark.parametrize("exponents", [0, 4])
@pytest.mark.parametrize("shift", [0, 15])
def test_layer_norm(exponents, shift):
    rng = np.random.default_rng(shift)
    r = rng.integers(-32768, 32768, (3, 4, 24))
    r[0, 0], r[0, 1], r[0, 2] = 32767, -32768, 5  # no variance
    r[0, 3] = np.where(np.arange(24) < 12, 32767, -32768)  # the most
    exponent = (np.arange(24) % max(exponents, 1)).astype(np.uint8)
    norm = Norm(epsilon=1, gain=40_000, shift=shift, zero=9, signed=False, exponent=exponent)
    g = GraphWriter()
    found = run(g, ops.layer_norm(g, "x", norm, 24, norm.range(6)), r)
    expected = reference.layer_norm(
        r, epsilon=1, gain=40_000, shift=shift, zero=9, exponent=exponent, low=0, high=63
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("scale", [(1, 47), ((1 << 17) - 1, 0), (90_000, 20)])
@pytest.mark.parametrize("act_bits", [4, 6, 8])
def test_attention_weights_and_context(scale, act_bits):
    rng = np.random.default_rng(1)
    scores = rng.integers(-(1 << 21), 1 << 21, (2, 1, 5, 300))
    scores[0, 0, 0] = 0
    scales = HeadScales((scale[0],), (scale[1],))
    g = GraphWriter()
    weights = g.named(ops.dithered(g, ops.exact_weights(g, "x", scales, act_bits), 300))
    expected = reference.softmax_weights(scores, scale[0], scale[1], act_bits)
    np.testing.assert_array_equal(run(g, weights, scores), expected)

    value = rng.integers(-128, 128, (2, 1, 300, 4))
    g = GraphWriter()
    acc = g.plus(expected @ value, g.times("x", 0))
    low, high = code_range(act_bits, signed=True)
    for constant, places in ((1 << 15, 0), ((1 << 16) - 1, 28), (50_000, 7)):
        scales = HeadScales((constant,), (places,))
        found = ops.context(g, acc, g.named(expected), scales, (low, high))
        totals = expected.sum(axis=-1, keepdims=True)
        multiplier, shift = reference.context_scale(totals, constant, places)
        exact = reference.requantize(expected @ value, 0, multiplier, shift, low, high)
        np.testing.assert_array_equal(run(g, found, np.zeros((1, 1, 1, 1), np.int64)), exact)


@pytest.mark.parametrize("act_bits", [4, 6, 8])
def test_importance(act_bits):
    rng = np.random.default_rng(2)
    scores = rng.integers(-(1 << 21), 1 << 21, (2, 3, 1, 300)) >> 8
    scores[0, 0], scores[1, :, 0, 7] = 0, 1 << 20
    scales = HeadScales((1, 90_000, (1 << 17) - 1), (0, 20, 12))
    g = GraphWriter()
    exact = ops.exact_weights(g, "x", scales, act_bits)
    weights = g.named(ops.dithered(g, exact, 300))
    found = run(g, ops.importance(g, exact, weights), scores)
    scale = ops.per_head(scales)
    totals = reference.softmax_weights(scores, *scale, act_bits).sum(-1, keepdims=True)
    terms = reference.importance_terms(scores, *scale, act_bits, totals)
    np.testing.assert_array_equal(found, terms.sum(axis=(1, 2)))


@pytest.mark.parametrize("keep", [1, 2, 500, 1023, 1024])
def test_of_equal_patches_the_first_are_selected(keep):
    rng = np.random.default_rng(keep)
    top = (1 << numerics.IMPORTANCE_BITS) - 1
    importance = np.stack(
        [
            np.zeros(1024, np.int64),
            np.full(1024, top),
            rng.integers(0, 5, 1024),
            rng.integers(top - 300, top, 1024, endpoint=True),
            np.arange(1024)[::-1],
        ]
    )
    g = GraphWriter()
    found = run(g, ops.select(g, "x", keep, 1024), importance)
    np.testing.assert_array_equal(found, reference.select(importance, keep))


def test_gelu_looks_up_one_table_or_two():
    codes = np.array([[-128, 0, 127, -128]])
    tables = np.arange(512, dtype=np.int16).reshape(2, 256)
    g = GraphWriter()
    assert run(g, ops.gelu(g, "x", tables[0], 128), codes).tolist() == [[0, 128, 255, 0]]
    g = GraphWriter()
    offsets = np.array([128, 128, 384, 384])
    assert run(g, ops.gelu(g, "x", tables, offsets), codes).tolist() == [[0, 128, 511, 256]]


def test_the_residual_stream_saturates():
    g = GraphWriter()
    residual = np.array([32_000, -32_000, 5])
    found = run(g, ops.add_codes(g, residual, "x", 3), np.array([100, -100, 1]))
    assert found.tolist() == [32_767, -32_768, 13]
