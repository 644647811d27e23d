"""A component that shows when a bench's inputs count and when it sees outputs: in both simulators.

The same test runs here in Amaranth's simulator and, by way of units.py, in Verilator.
"""

import pytest
from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tests.rtl.simulation import simulate

pytestmark = pytest.mark.sim
PAIR = data.StructLayout({"low": signed(3), "high": data.ArrayLayout(5, 2)})


class Probe(wiring.Component):
    """One output that follows at once, one a cycle later, and a counter behind a stream."""

    a: In(PAIR)
    same: Out(PAIR)
    late: Out(PAIR)
    difference: Out(signed(4))
    i: In(stream.Signature(8))
    total: Out(8)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        turn = Signal(2)
        m.d.comb += [
            self.same.eq(self.a),
            self.difference.eq(self.a.low - self.late.low),
            self.i.ready.eq(Cat(turn).all()),
        ]
        m.d.sync += [self.late.eq(self.a), turn.eq(turn + 1)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += self.total.eq(self.total + self.i.payload)
        return m


def test_semantics():
    dut, reset, seen = Probe(), Signal(), []

    async def follow(ctx):
        """A register made of Python: the sum of what is taken, a cycle after the component's."""
        async for _, _, valid, ready, total in ctx.tick().sample(
            dut.i.valid, dut.i.ready, dut.total
        ):
            seen.append((valid, ready, total))

    async def bench(ctx):
        assert (ctx.get(dut.late).low, ctx.get(dut.total)) == (0, 0)
        ctx.set(dut.a, {"low": -3, "high": [17, 30]})  # combinational outputs follow at once
        assert ctx.get(dut.same) == ctx.get(dut.a)
        assert (ctx.get(dut.same.low), ctx.get(dut.same.high[1])) == (-3, 30)
        assert (ctx.get(dut.late.low), ctx.get(dut.difference)) == (0, -3)
        *_, before = await ctx.tick().sample(dut.late.low)  # registers, after the edge
        assert (before, ctx.get(dut.late.low), ctx.get(dut.difference)) == (0, -3, 0)
        ctx.set(dut.a.high[0], 1)  # the edge found the value of before it
        assert (ctx.get(dut.late.high[0]), ctx.get(dut.same.high[0])) == (17, 1)
        ctx.set(dut.i.payload, 5)
        ctx.set(dut.i.valid, 1)
        await ctx.tick().until(dut.i.ready)
        assert ctx.get(dut.total) == 5
        await ctx.tick().repeat(4)
        assert ctx.get(dut.total) == 10
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        assert (ctx.get(dut.total), ctx.get(dut.late.low)) == (0, 0)

    simulate(dut, bench, processes=[follow], reset=reset)
    assert seen == [(0, 0, 0)] + [(1, 0, 0)] * 2 + [(1, 1, 0)] + [(1, 0, 5)] * 3 + [
        (1, 1, 5),
        (1, 0, 10),
    ]
