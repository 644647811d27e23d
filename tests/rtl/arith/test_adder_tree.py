# amaranth: UnusedElaboratable=no
"""AdderTree against plain integers."""

import random

import pytest
from amaranth.hdl import signed, unsigned

from rtl.arith.adder_tree import AdderTree
from tests.rtl.arith.samples import limits
from tests.rtl.rigid import stream_through


@pytest.mark.parametrize("count", [2, 4, 8, 16])
@pytest.mark.parametrize("shape", [signed(16), unsigned(6)])
@pytest.mark.parametrize("adder_terms", [2, 3])
def test_adder_tree(count, shape, adder_terms):
    rng = random.Random(count)
    vectors = [[limit] * count for limit in limits(shape)]
    vectors += [[rng.randint(*limits(shape)) for _ in range(count)] for _ in range(20)]
    dut = AdderTree(count, shape, adder_terms)
    latency = AdderTree.latency(count, adder_terms)
    outputs = stream_through(dut, [{"i": vector} for vector in vectors], latency)
    assert [x["o"] for x in outputs] == [sum(vector) for vector in vectors]
    if adder_terms == 2:
        assert (1 << latency) == count


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
