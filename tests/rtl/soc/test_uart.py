# amaranth: UnusedElaboratable=no
"""Bytes over a line: every value, periods from 4 cycles on, clocks that are off, broken bytes."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.soc.uart import FRAME_BITS, UartReceiver, UartTransmitter
from tests.rtl.simulation import simulate


async def send(ctx, pin, byte, period, *, stop=1):
    """One byte, bit by bit; ``period`` may be any number of cycles."""
    due = 0.0
    for bit in (0, *(byte >> i & 1 for i in range(8)), stop):
        ctx.set(pin, bit)
        due += period
        while due >= 1:
            await ctx.tick()
            due -= 1
    ctx.set(pin, 1)


def received(sender, period=4):
    """Bytes, and whether each was broken, that a receiver gets of what ``sender`` sends."""
    receiver, got = UartReceiver(), []

    async def bench(ctx):
        ctx.set(receiver.period, period)
        await ctx.tick().repeat(5)
        await sender(ctx, receiver.pin)
        await ctx.tick().repeat(2 * FRAME_BITS * period)

    async def watch(ctx):
        async for _, _, valid, byte, broken in ctx.tick().sample(
            receiver.valid, receiver.byte, receiver.broken
        ):
            if valid:
                got.append((byte, bool(broken)))

    simulate(receiver, bench, processes=[watch])
    return got


def test_every_byte_at_the_shortest_period():
    async def sender(ctx, pin):
        for byte in range(256):
            await send(ctx, pin, byte, 4)

    assert received(sender) == [(byte, False) for byte in range(256)]


@pytest.mark.parametrize("period", [16, 25, 434])
@pytest.mark.parametrize("off", [0.97, 1.0, 1.03])
def test_the_sender_s_clock_may_be_off(period, off):
    content = b"\x00\xff\xa5\x5a\x01\x80"

    async def sender(ctx, pin):
        for byte in content:
            await send(ctx, pin, byte, period * off)

    assert received(sender, period) == [(byte, False) for byte in content]


def test_a_byte_without_a_stop_bit_is_broken():
    async def sender(ctx, pin):
        await send(ctx, pin, 0xF0, 8, stop=0)
        await ctx.tick().repeat(200)
        await send(ctx, pin, 0x12, 8)

    got = received(sender, 8)
    assert got[0] == (0xF0, True)
    assert got[-1] == (0x12, False)


def test_a_short_pulse_is_no_byte():
    async def sender(ctx, pin):
        ctx.set(pin, 0)
        await ctx.tick().repeat(3)
        ctx.set(pin, 1)
        await ctx.tick().repeat(200)
        await send(ctx, pin, 0x34, 16)

    assert received(sender, 16) == [(0x34, False)]


class Loop(wiring.Component):
    """A transmitter whose line ends in a receiver."""

    i: In(stream.Signature(8))
    period: In(16)
    byte: Out(8)
    valid: Out(1)
    broken: Out(1)
    idle: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.transmitter = transmitter = UartTransmitter()
        m.submodules.receiver = receiver = UartReceiver()
        wiring.connect(m, wiring.flipped(self.i), transmitter.i)
        m.d.comb += [
            receiver.pin.eq(transmitter.pin),
            transmitter.period.eq(self.period),
            receiver.period.eq(self.period),
            self.byte.eq(receiver.byte),
            self.valid.eq(receiver.valid),
            self.broken.eq(receiver.broken),
            self.idle.eq(transmitter.idle),
        ]
        return m


@pytest.mark.parametrize("period", [4, 7])
def test_what_is_transmitted_is_received_without_a_pause(period):
    loop, got, cycles = Loop(), [], []
    content = bytes(range(0, 256, 5))

    async def bench(ctx):
        ctx.set(loop.period, period)
        assert ctx.get(loop.idle)
        for byte in content:
            ctx.set(loop.i.p, byte)
            ctx.set(loop.i.valid, 1)
            await ctx.tick().until(loop.i.ready)
            ctx.set(loop.i.valid, 0)
            assert not ctx.get(loop.idle)
        await ctx.tick().until(loop.idle)
        await ctx.tick().repeat(10)

    async def watch(ctx):
        cycle = 0
        async for _, _, valid, byte, broken in ctx.tick().sample(
            loop.valid, loop.byte, loop.broken
        ):
            cycle += 1
            if valid:
                got.append(byte)
                cycles.append(cycle)
                assert not broken

    simulate(loop, bench, processes=[watch])
    assert bytes(got) == content
    assert cycles[-1] - cycles[0] == FRAME_BITS * period * (len(content) - 1)
