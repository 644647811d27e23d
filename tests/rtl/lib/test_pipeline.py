"""Selections equal what an index into their values gives, and zero beyond."""

import pytest
from amaranth.hdl import Const, Module, Signal
from amaranth.sim import Simulator

from rtl.lib.pipeline import choose


@pytest.mark.parametrize(("count", "index_bits"), [(1, 0), (2, 1), (4, 2), (5, 3), (2, 3)])
def test_every_index(count, index_bits):
    index, chosen = Signal(index_bits), Signal(4)
    values = [Const(3 + n, 4) for n in range(count)]
    m = Module()
    m.d.comb += chosen.eq(choose(values, index))
    found = []

    async def bench(ctx):
        for n in range(2**index_bits):
            ctx.set(index, n)
            await ctx.delay(1e-9)
            found.append(ctx.get(chosen))

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    assert found == [3 + n if n < count else 0 for n in range(2**index_bits)]
