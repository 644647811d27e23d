"""Dyadic scales: precision, and what the shift's range leaves of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtl.model.dyadic import dyadic


@given(st.floats(2.0**-30, 2.0**15))
def test_seventeen_bits_of_precision(scale):
    multiplier, shift = dyadic(scale)
    assert 1 << 16 <= multiplier < 1 << 17 and 1 <= shift <= 47
    assert multiplier / 2**shift == pytest.approx(scale, rel=2**-17)


def test_rounding_up_to_the_next_power_of_two():
    assert dyadic(1 - 2.0**-20) == (1 << 16, 16)


def test_small_scales_lose_multiplier_bits():
    assert dyadic(2.0**-40, bits=16, low=0, high=28) == (0, 28)
    assert dyadic(3 * 2.0**-28, bits=16, low=0, high=28) == (3, 28)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_only_positive_scales(scale):
    with pytest.raises(ValueError, match=f"scale must be positive, not {scale}"):
        dyadic(scale)


def test_scale_beyond_the_smallest_shift():
    with pytest.raises(ValueError, match=r"scale 65536.0 needs a shift of 0, the least is 1"):
        dyadic(65536.0)
