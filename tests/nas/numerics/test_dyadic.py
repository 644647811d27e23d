"""Factors as multiplier and shift: near the real value, in range."""

import pytest
import torch

from nas.numerics.dyadic import dyadic, dyadic_value
from rtl.model.dyadic import dyadic as exact_dyadic


@pytest.mark.parametrize("value", [1e-9, 3e-5, 0.013, 0.5, 1.0, 77.7, 60000.0])
def test_dyadic_is_close_and_in_range(value: float):
    multiplier, shift = dyadic(torch.tensor(value))
    assert 1 <= int(multiplier) < 1 << 17 and 1 <= int(shift) <= 47
    factor = float(dyadic_value(torch.tensor(value)))
    assert int(multiplier) / 2 ** int(shift) == factor == pytest.approx(value, rel=2**-17)
    assert (int(multiplier), int(shift)) == exact_dyadic(float(torch.tensor(value)))


def test_dyadic_value_carries_into_the_exponent():
    value = torch.tensor(2 - 2.0**-20)
    assert float(dyadic_value(value)) == 2.0
    assert [int(part) for part in dyadic(value)] == [1 << 16, 15]


def test_dyadic_keeps_tiny_factors_at_the_last_shift():
    multiplier, shift = dyadic(torch.tensor(2.0**-45))
    assert (int(multiplier), int(shift)) == (4, 47)
