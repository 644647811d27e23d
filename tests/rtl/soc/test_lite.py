# amaranth: UnusedElaboratable=no
"""Accesses of real registers, one after the other; refusals; either channel may be slow."""

import random

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa.registers import OFFSETS, WATCHDOG_CYCLES
from rtl.lib.streams import connect
from rtl.soc.lite import LiteAccess, LiteManager
from tests.rtl.control.test_registers import Registers
from tests.rtl.simulation import simulate


class Access(wiring.Component):
    """A manager in front of the engine's registers."""

    i: In(stream.Signature(LiteAccess))
    value: Out(32)
    error: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.manager = manager = LiteManager()
        m.submodules.registers = registers = Registers()
        connect(m, producer=manager.bus, consumer=registers.host)
        connect(m, producer=wiring.flipped(self.i), consumer=manager.i)
        m.d.comb += [self.value.eq(manager.value), self.error.eq(manager.error)]
        return m


async def access(ctx, port, offset, value=None):
    """Value that was read, and whether the bus refused."""
    ctx.set(port.i.p.write, value is not None)
    ctx.set(port.i.p.address, offset)
    ctx.set(port.i.p.value, value or 0)
    ctx.set(port.i.valid, 1)
    *_, read, error = await ctx.tick().sample(port.value, port.error).until(port.i.ready)
    ctx.set(port.i.valid, 0)
    return read, error


def test_registers_are_written_and_read_back_to_back():
    port, rng = Access(), random.Random(1)
    names = ("images", "watchdog_cycles", "image_stride", "output_stride")

    async def bench(ctx):
        assert await access(ctx, port, OFFSETS["watchdog_cycles"]) == (WATCHDOG_CYCLES, 0)
        values = {name: rng.getrandbits(32) for name in names}
        for name, value in values.items():
            assert (await access(ctx, port, OFFSETS[name], value))[1] == 0
        for name, value in values.items():
            assert await access(ctx, port, OFFSETS[name]) == (value, 0)

    simulate(port, bench)


def test_each_channel_is_offered_until_it_is_taken_and_not_again():
    manager = LiteManager()
    bus = manager.bus

    async def bench(ctx):
        ctx.set(manager.i.p.write, 1)
        ctx.set(manager.i.valid, 1)
        ctx.set(bus.wready, 1)
        await ctx.tick()
        assert (ctx.get(bus.awvalid), ctx.get(bus.wvalid), ctx.get(bus.arvalid)) == (1, 0, 0)
        await ctx.tick().repeat(3)
        ctx.set(bus.awready, 1)
        await ctx.tick()
        assert (ctx.get(bus.awvalid), ctx.get(bus.wvalid)) == (0, 0)
        ctx.set(bus.bresp, 2)
        ctx.set(bus.bvalid, 1)
        assert (ctx.get(manager.i.ready), ctx.get(manager.error)) == (1, 1)

    simulate(manager, bench)
