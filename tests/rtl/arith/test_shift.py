"""SaturatingShift and Normalize against plain integers."""

import random

import pytest
from amaranth.hdl import signed

from rtl.arith.shift import Normalize, SaturatingShift
from tests.rtl.arith.samples import limits
from tests.rtl.rigid import stream_through


@pytest.mark.parametrize(("digits", "digit_bits"), [(18, 1), (26, 2), (5, 1)])
def test_normalize(digits, digit_bits):
    width = digits * digit_bits
    rng = random.Random(digits)
    values = [1 << bit for bit in range(width)] + [(2 << bit) - 1 for bit in range(width)]
    values += [rng.getrandbits(rng.randint(1, width)) | 1 for _ in range(50)]
    dut = Normalize(digits, digit_bits)
    inputs = [{"value": value} for value in values]
    outputs = stream_through(dut, inputs, Normalize.latency(digits))
    for value, output in zip(values, outputs, strict=True):
        zeros = (width - value.bit_length()) // digit_bits
        assert output == {"mantissa": value << (digit_bits * zeros), "zeros": zeros}


@pytest.mark.parametrize(("width", "out_bits"), [(43, 9), (40, 13), (43, 11), (16, 8)])
def test_saturating_shift(width, out_bits):
    rng = random.Random(width)
    top = (1 << (out_bits - 1)) - 1
    inputs = [{"value": v, "amount": n} for v in limits(signed(width)) for n in range(64)]
    for amount in range(64):
        for near in (top, top + 1, -top - 1, -top - 2, 0, -1):
            value = near << amount | rng.getrandbits(amount)
            if -(1 << (width - 1)) <= value < 1 << (width - 1):
                inputs.append({"value": value, "amount": amount})
        for _ in range(4):
            bits = rng.randint(1, width - 1)
            value = rng.randint(-(1 << bits), (1 << bits) - 1)
            inputs.append({"value": value, "amount": amount})
    dut = SaturatingShift(width, out_bits)
    outputs = stream_through(dut, inputs, dut.LATENCY)
    expected = [max(-top - 1, min(top, x["value"] >> x["amount"])) for x in inputs]
    assert [x["o"] for x in outputs] == expected
