# amaranth: UnusedElaboratable=no
"""MultiplyAdd, AdderTree, Normalize and SaturatingShift against plain integers."""

import random

import pytest
from amaranth.hdl import signed, unsigned

from rtl.arith.adder_tree import AdderTree
from rtl.arith.multiply import MultiplyAdd
from rtl.arith.shift import Normalize, SaturatingShift
from tests.rtl.rigid import stream_through


def limits(shape):
    low = -(1 << (shape.width - 1)) if shape.signed else 0
    return low, low + (1 << shape.width) - 1


def samples(rng, shape, count):
    return [*limits(shape), *(rng.randint(*limits(shape)) for _ in range(count - 2))]


@pytest.mark.parametrize("a", [signed(27), unsigned(26)])
@pytest.mark.parametrize("b", [signed(18), unsigned(17)])
def test_multiply_add(a, b):
    rng = random.Random(1)
    c = signed(43)
    columns = (samples(rng, shape, 50) for shape in (a, b, c))
    inputs = [dict(zip("abc", values, strict=True)) for values in zip(*columns, strict=True)]
    dut = MultiplyAdd(a, b, signed(47), c)
    outputs = stream_through(dut, inputs, dut.LATENCY)
    assert [x["o"] for x in outputs] == [x["a"] * x["b"] + x["c"] for x in inputs]


def test_multiply_without_addend_keeps_the_low_bits():
    dut = MultiplyAdd(unsigned(8), unsigned(8), unsigned(9))
    (output,) = stream_through(dut, [{"a": 255, "b": 255}], dut.LATENCY)
    assert output["o"] == 255 * 255 % 512


@pytest.mark.parametrize("count", [2, 4, 8, 16])
@pytest.mark.parametrize("shape", [signed(16), unsigned(6)])
@pytest.mark.parametrize("adder_terms", [2, 3])
def test_adder_tree(count, shape, adder_terms):
    rng = random.Random(count)
    vectors = [[limit] * count for limit in limits(shape)]
    vectors += [[rng.randint(*limits(shape)) for _ in range(count)] for _ in range(20)]
    dut = AdderTree(count, shape, adder_terms)
    outputs = stream_through(dut, [{"i": vector} for vector in vectors], dut.LATENCY)
    assert [x["o"] for x in outputs] == [sum(vector) for vector in vectors]
    if adder_terms == 2:
        assert (1 << dut.LATENCY) == count


def test_adders_of_three_make_fewer_levels():
    assert [AdderTree.latency(1 << n, 3) for n in range(6)] == [0, 1, 2, 2, 3, 4]


def test_register_bits_of_an_adder_tree():
    assert AdderTree.register_bits(1, 11, 3) == 0
    assert AdderTree.register_bits(2, 11) == 12
    assert AdderTree.register_bits(8, 11, 3) == (12 + 13 + 13) + 14
    assert AdderTree.register_bits(4, 13) == 2 * 14 + 15


def test_adder_tree_names_what_it_refuses():
    with pytest.raises(ValueError, match="count must be a power of two, not 3"):
        AdderTree(3, signed(4))
    with pytest.raises(ValueError, match="adder_terms must be 2 or 3, not 4"):
        AdderTree(4, signed(4), 4)


@pytest.mark.parametrize(("digits", "digit_bits"), [(18, 1), (26, 2), (5, 1)])
def test_normalize(digits, digit_bits):
    width = digits * digit_bits
    rng = random.Random(digits)
    values = [1 << bit for bit in range(width)] + [(2 << bit) - 1 for bit in range(width)]
    values += [rng.getrandbits(rng.randint(1, width)) | 1 for _ in range(50)]
    dut = Normalize(digits, digit_bits)
    outputs = stream_through(dut, [{"value": value} for value in values], dut.LATENCY)
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
