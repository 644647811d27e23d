"""MultiplyAdd and AddMultiply against plain integers."""

import random
import re

import pytest
from amaranth.hdl import signed, unsigned

from rtl.arith.multiply import AddMultiply, MultiplyAdd
from rtl.lib.devices import Primitives
from rtl.lib.emit import emit_rtlil
from tests.rtl.arith.samples import limits, samples
from tests.rtl.rigid import OnDevice, stream_through


def plain(component):
    return component


def ecp5(component):
    return OnDevice(component, Primitives.ECP5)


DEVICES = pytest.mark.parametrize("device", [plain, ecp5])


def test_products_of_an_ecp5_fit_its_multipliers():
    """27 by 26 bits are four products of at most 18, signed; anywhere else one."""
    for primitives, products in ((None, 1), (Primitives.ECP5, 4)):
        rtlil = emit_rtlil(MultiplyAdd(signed(27), unsigned(26), signed(53)), "m", primitives)
        cells = rtlil.split("cell $mul")[1:]
        assert len(cells) == products
        widths = [int(w) for cell in cells for w in re.findall(r"[AB]_WIDTH (\d+)", cell)[:2]]
        assert (max(widths) <= 18) == (primitives is Primitives.ECP5)


@DEVICES
@pytest.mark.parametrize("a", [signed(27), unsigned(26)])
@pytest.mark.parametrize("b", [signed(18), unsigned(17)])
def test_multiply_add(a, b, device):
    rng = random.Random(1)
    c = signed(43)
    columns = (samples(rng, shape, 50) for shape in (a, b, c))
    inputs = [dict(zip("abc", values, strict=True)) for values in zip(*columns, strict=True)]
    dut = MultiplyAdd(a, b, signed(47), c)
    outputs = stream_through(device(dut), inputs, dut.LATENCY)
    assert [x["o"] for x in outputs] == [x["a"] * x["b"] + x["c"] for x in inputs]


def test_multiply_without_addend_keeps_the_low_bits():
    dut = MultiplyAdd(unsigned(8), unsigned(8), unsigned(9))
    (output,) = stream_through(dut, [{"a": 255, "b": 255}], dut.LATENCY)
    assert output["o"] == 255 * 255 % 512


@DEVICES
@pytest.mark.parametrize("a", [signed(27), signed(12)])
def test_add_multiply_wraps_the_sum(a, device):
    """The sum of two terms wraps at their width, as the DSP block's does at its port."""
    rng = random.Random(2)
    b = unsigned(17)
    columns = (samples(rng, shape, 50) for shape in (a, a, b))
    inputs = [dict(zip("adb", values, strict=True)) for values in zip(*columns, strict=True)]
    dut = AddMultiply(a, b, signed(44))
    outputs = stream_through(device(dut), inputs, dut.LATENCY)
    low, high = limits(a)
    sums = [(x["a"] + x["d"] - low) % (high - low + 1) + low for x in inputs]
    assert any(total != x["a"] + x["d"] for total, x in zip(sums, inputs, strict=True))
    expected = [total * x["b"] for total, x in zip(sums, inputs, strict=True)]
    assert [x["o"] for x in outputs] == expected
