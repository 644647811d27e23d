"""Packing is computed, and exact in all sign modes."""

from itertools import product

import numpy as np
import pytest

from rtl.arith.packing import SIGN_MODES, pack, packing, unpack
from rtl.model.numerics import code_range


@pytest.mark.parametrize(
    ("act_bits", "multiplier", "packs", "spacings", "cascade"),
    [
        (4, "dsp48e2", (2, 2), (11, 22), 8),
        (6, "dsp48e2", (2, 2), (11, 22), 2),
        (8, "dsp48e2", (1, 2), (22, 22), 1024),
        (4, "mult18x18", (1, 2), (13, 13), 32),
        (6, "mult18x18", (1, 2), (13, 13), 8),
        (8, "mult18x18", (1, 2), (13, 13), 2),
    ],
)
def test_packings(act_bits, multiplier, packs, spacings, cascade):
    found = packing(4, act_bits, multiplier)
    assert (found.token_pack, found.row_pack) == packs
    assert (found.activation.spacing, found.weight.spacing) == spacings
    assert found.cascade == cascade


def test_three_products_overflow_in_three_modes():
    found = packing(4, 6, "dsp48e2")
    assert [found.depth(*mode) for mode in SIGN_MODES] == [2, 2, 2, 3]


@pytest.mark.parametrize(("w_signed", "a_signed"), SIGN_MODES)
def test_all_4x6_products_in_all_sign_modes(w_signed, a_signed):
    """Every field beside every neighbour: all (w0, w1, a0, a1), a million of each mode."""
    found = packing(4, 6, "dsp48e2")
    low, high = code_range(4, w_signed)
    weights = np.arange(low, high + 1, dtype=np.int64)
    low, high = code_range(6, a_signed)
    activations = np.arange(low, high + 1, dtype=np.int64)
    w0, w1, a0, a1 = np.meshgrid(weights, weights, activations, activations, indexing="ij")
    total = (a0 + (a1 << 11)) * (w0 + (w1 << 22))
    assert np.abs(a0 + (a1 << 11)).max() < 1 << 17
    assert np.abs(w0 + (w1 << 22)).max() < 1 << 26
    expected = {found.field(t, r): (a0, a1)[t] * (w0, w1)[r] for t in (0, 1) for r in (0, 1)}
    check_fields(total + found.zero_points * (w_signed or a_signed), expected, w_signed or a_signed)


@pytest.mark.parametrize(("w_signed", "a_signed"), SIGN_MODES)
def test_cascades_of_extreme_4x6_products(w_signed, a_signed):
    """Sums of two whose operands are all at an end of their range or next to 0."""
    found = packing(4, 6, "dsp48e2")
    corners = [
        sorted({low, low + 1, 0, 1, high} | ({-1} if low else set()))
        for low, high in (code_range(4, w_signed), code_range(6, a_signed))
    ]
    one = np.array(list(product(corners[0], corners[0], corners[1], corners[1])), np.int64)
    w0, w1, a0, a1 = (one[:, None, k] for k in range(4))
    v0, v1, b0, b1 = (one[None, :, k] for k in range(4))
    total = (a0 + (a1 << 11)) * (w0 + (w1 << 22)) + (b0 + (b1 << 11)) * (v0 + (v1 << 22))
    expected = {
        found.field(t, r): (a0, a1)[t] * (w0, w1)[r] + (b0, b1)[t] * (v0, v1)[r]
        for t in (0, 1)
        for r in (0, 1)
    }
    check_fields(total + found.zero_points * (w_signed or a_signed), expected, w_signed or a_signed)


def check_fields(total: np.ndarray, expected: dict[int, np.ndarray], signed: bool) -> None:
    assert 0 <= total.min() <= total.max() < 1 << 44
    for index in range(4):
        field = total >> 11 * index & 0x7FF
        np.testing.assert_array_equal(field - (1024 if signed else 0), expected[index])


def test_zero_points_would_overflow_without_signs():
    """Unsigned fields reach the upper half of their range without being negative."""
    found = packing(4, 6, "dsp48e2")
    total = 2 * pack([63, 63], 11) * pack([15, 15], 22)
    assert unpack(total, 4, 11) == [15 * 63 * 2] * 4
    assert unpack(total + found.zero_points, 4, 11) != [15 * 63 * 2 + 1024] * 4


@pytest.mark.parametrize("multiplier", ["dsp48e2", "mult18x18"])
@pytest.mark.parametrize("act_bits", [4, 6, 8])
def test_full_cascades_of_extremes(act_bits, multiplier):
    found = packing(4, act_bits, multiplier)
    for w_signed, a_signed in SIGN_MODES:
        depth = found.depth(w_signed, a_signed)
        ends = product(
            product(code_range(4, w_signed), repeat=found.row_pack),
            product(code_range(act_bits, a_signed), repeat=found.token_pack),
        )
        for weights, activations in ends:
            total = (
                depth
                * pack(weights, found.weight.spacing)
                * pack(activations, found.activation.spacing)
            )
            signed = w_signed or a_signed
            with_zero_points = total + signed * found.zero_points
            fields = unpack(with_zero_points, found.products, found.field_bits)
            half = signed << found.field_bits - 1
            for t, r in product(range(found.token_pack), range(found.row_pack)):
                assert fields[found.field(t, r)] - half == depth * weights[r] * activations[t]


def test_errors_name_the_value():
    with pytest.raises(ValueError, match="one of dsp48e2, mult18x18, not 'dsp58'"):
        packing(4, 6, "dsp58")
    with pytest.raises(ValueError, match="no product of 40 x 6 bits fits a dsp48e2"):
        packing(40, 6, "dsp48e2")
