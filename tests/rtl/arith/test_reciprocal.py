"""Reciprocal: the divider's algorithm for every sum, the RTL for samples of them."""

import random

import numpy as np

from rtl.arith.reciprocal import Reciprocal
from tests.rtl.rigid import stream_through

HIGHEST = (1 << Reciprocal.TOTAL_BITS) - 1


def divide(total):
    """Divide as the RTL does, stage by stage, an array of sums at once."""
    length = np.frexp(total.astype(np.float64))[1].astype(np.int64)
    divisor = total << (Reciprocal.TOTAL_BITS - length)
    remainder = np.full_like(total, 1 << (Reciprocal.TOTAL_BITS - 1))
    quotient = np.zeros_like(total)
    for _ in range(Reciprocal.QUOTIENT_BITS):
        fits = remainder >= divisor
        quotient = quotient << 1 | fits
        remainder = (remainder - fits * divisor) << 1
        assert remainder.max() < 1 << (Reciprocal.TOTAL_BITS + 1)
    return quotient, length


def test_the_algorithm_is_exact_for_every_sum():
    total = np.arange(1, HIGHEST + 1)
    quotient, length = divide(total)
    assert np.array_equal(quotient, (np.int64(1) << (15 + length)) // total)


def test_rtl():
    rng = random.Random(5)
    edges = [v for bit in range(18) for v in ((1 << bit) - 1, 1 << bit, (1 << bit) + 1) if v]
    totals = [*range(1, 600), *edges, HIGHEST, *(rng.randint(1, HIGHEST) for _ in range(1500))]
    dut = Reciprocal()
    outputs = stream_through(dut, [{"total": total} for total in totals], dut.LATENCY)
    expected = [
        {"reciprocal": (1 << (15 + t.bit_length())) // t, "length": t.bit_length()} for t in totals
    ]
    assert outputs == expected
    assert dut.LATENCY == 22
