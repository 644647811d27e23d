"""Tables of the integer model, each computed a second way."""

from decimal import Decimal, getcontext

import pytest

from rtl.model.numerics import code_range, dither, exp2_table, rsqrt_table

getcontext().prec = 50
HALF = Decimal("0.5")


def test_rsqrt_table():
    exact = [
        2**16 / (Decimal(2 * i + 129) / 512).sqrt() + HALF  # (i + 64.5) / 256
        for i in range(192)
    ]
    assert rsqrt_table() == tuple(int(value) for value in exact)
    assert max(rsqrt_table()).bit_length() == 17


@pytest.mark.parametrize("act_bits", [4, 6, 8])
def test_exp2_table(act_bits):
    exact = [(2**act_bits - 1) * 256 * Decimal(2) ** (Decimal(-f) / 256) + HALF for f in range(256)]
    assert exp2_table(act_bits) == tuple(int(value) for value in exact)


def test_dither_visits_every_value_once():
    assert sorted(dither(key) for key in range(256)) == list(range(256))
    assert [dither(key) for key in range(3)] == [0, 159, 62]


def test_code_ranges():
    assert code_range(6, signed=True) == (-32, 31)
    assert code_range(6, signed=False) == (0, 63)
