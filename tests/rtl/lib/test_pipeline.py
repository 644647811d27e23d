# amaranth: UnusedElaboratable=no
"""Delay lines; selections equal what an index into their values gives, and zero beyond."""

import pytest
from amaranth.hdl import Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.lib.pipeline import choose, delayed, halves, history
from tests.rtl.simulation import simulate


class Chosen(wiring.Component):
    def __init__(self, count, index_bits):
        self.values = [Const(3 + n, 4) for n in range(count)]
        super().__init__({"index": In(index_bits), "o": Out(4)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(choose(self.values, self.index))
        return m


@pytest.mark.parametrize(("count", "index_bits"), [(1, 0), (2, 1), (4, 2), (5, 3), (2, 3)])
def test_every_index(count, index_bits):
    dut, found = Chosen(count, index_bits), []

    async def bench(ctx):
        for n in range(2**index_bits):
            ctx.set(dut.index, n)
            found.append(ctx.get(dut.o))

    simulate(dut, bench)
    assert found == [3 + n if n < count else 0 for n in range(2**index_bits)]


class Delays(wiring.Component):
    i: In(8)
    marker: In(1)
    o: Out(8).array(3)
    marked: Out(1)

    def elaborate(self, platform):
        m = Module()
        stages = history(m, self.i, 2, name="value")
        m.d.comb += [o.eq(stage) for o, stage in zip(self.o, stages, strict=True)]
        m.d.comb += self.marked.eq(delayed(m, self.marker, 2, name="marker", marker=True))
        return m


def test_history_is_the_value_of_each_cycle_before():
    dut = Delays()

    async def bench(ctx):
        for cycle in range(20):
            ctx.set(dut.i, 7 * cycle)
            if cycle >= 2:
                assert [ctx.get(o) for o in dut.o] == [7 * (cycle - ago) for ago in range(3)]
            await ctx.tick()

    simulate(dut, bench)


def test_a_reset_empties_markers_and_leaves_payloads():
    dut, reset = Delays(), Signal()

    async def bench(ctx):
        ctx.set(dut.i, 9)
        ctx.set(dut.marker, 1)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.marked) and ctx.get(dut.o[2]) == 9
        ctx.set(reset, 1)
        await ctx.tick()
        assert not ctx.get(dut.marked) and ctx.get(dut.o[2]) == 9

    simulate(dut, bench, reset=reset)


def test_halves_are_neighbours():
    assert list(halves([1, 2, 3, 4])) == [(1, 2), (3, 4)]
    with pytest.raises(ValueError, match="shorter"):
        list(halves([1, 2, 3]))
