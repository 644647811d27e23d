"""Rsqrt against golden: every exponent, every table entry, the edges, and random variances."""

import random

import numpy as np
import pytest

from rtl.arith.rsqrt import Rsqrt
from rtl.model import numerics
from sim.golden import ops
from tests.rtl.rigid import stream_through


def check(variances):
    dut = Rsqrt()
    outputs = stream_through(dut, [{"variance": v} for v in variances], dut.LATENCY)
    k, e = ops.rsqrt(np.array(variances, np.int64))
    assert [x["k"] for x in outputs] == k.tolist()
    assert [x["e"] for x in outputs] == e.tolist()


def test_every_power_of_two_and_its_neighbours():
    powers = [1 << bit for bit in range(numerics.VARIANCE_BITS)]
    check([v for p in powers for v in (p - 1, p, p + 1) if v])
    check([(1 << numerics.VARIANCE_BITS) - 1, 1])


@pytest.mark.parametrize("exponent", [1, 7, 13, 26])
def test_every_table_entry(exponent):
    """The first and the last variance that look up each entry."""
    shift = 2 * exponent - 8
    entries = range(64, 256)
    pairs = (
        (i << shift, ((i + 1) << shift) - 1) if shift >= 0 else (i >> -shift,) for i in entries
    )
    check([v for pair in pairs for v in pair if 0 < v < 1 << numerics.VARIANCE_BITS])


def test_random_variances():
    rng = random.Random(3)
    bits = (rng.randint(0, numerics.VARIANCE_BITS - 1) for _ in range(2000))
    check([1 << b | rng.getrandbits(b) for b in bits])


def test_throughput_is_one_per_cycle_and_latency_exact():
    assert Rsqrt.LATENCY == 17
