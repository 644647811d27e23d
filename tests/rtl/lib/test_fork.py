"""A fork hands each transfer to all sinks at once, and to each the fields that it has."""

import random

from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.lib.fork import fork
from tests.rtl.simulation import simulate

WHOLE = data.StructLayout({"number": 8, "signal": 4})
PART = data.StructLayout({"signal": 4})


class Forked(wiring.Component):
    """``i`` goes to a sink that wants all of it and to one that wants a part; transfers counted."""

    i: In(stream.Signature(WHOLE))
    whole: Out(stream.Signature(WHOLE))
    part: Out(stream.Signature(PART))
    moved: Out(8).array(3)

    def elaborate(self, platform):
        m = Module()
        fork(m, self.i, wiring.flipped(self.whole), wiring.flipped(self.part))
        for moved, end in zip(self.moved, (self.i, self.whole, self.part), strict=True):
            m.d.sync += moved.eq(moved + (end.valid & end.ready))
        return m


def test_all_sinks_take_a_transfer_in_the_same_cycle():
    dut = Forked()
    rng = random.Random(1)

    async def bench(ctx):
        for _ in range(200):
            valid, whole, part = (rng.randrange(2) for _ in range(3))
            payload = {"number": rng.randrange(256), "signal": rng.randrange(16)}
            ctx.set(dut.i.valid, valid)
            ctx.set(dut.i.p, payload)
            ctx.set(dut.whole.ready, whole)
            ctx.set(dut.part.ready, part)
            assert ctx.get(dut.i.ready) == (whole and part)
            assert ctx.get(dut.whole.valid) == (valid and part)
            assert ctx.get(dut.part.valid) == (valid and whole)
            assert ctx.get(dut.whole.p.number) == payload["number"]
            assert ctx.get(dut.part.p.signal) == payload["signal"]
            await ctx.tick()
            assert len({ctx.get(moved) for moved in dut.moved}) == 1

        assert ctx.get(dut.moved[0])

    simulate(dut, bench)
