# amaranth: UnusedElaboratable=no
"""The host's registers behind AXI4-Lite: access rights, strobes, words of long ones, refusals."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.control.registers import RegisterBus, RegisterFile
from rtl.isa.registers import OFFSETS, REGISTERS, WORD_BITS, WORD_BYTES, WORDS
from rtl.lib.streams import connect
from rtl.memory.axi import Axi4Lite, Response
from tests.rtl.simulation import simulate


class Registers(wiring.Component):
    """The bus in front of the register file, as in the control unit."""

    host: In(Axi4Lite())
    resetting: In(1)
    forget: In(1)
    ignored: Out(1)

    def __init__(self):
        self.file = RegisterFile()
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.bus = bus = RegisterBus()
        m.submodules.file = file = self.file
        connect(m, producer=wiring.flipped(self.host), consumer=bus.host)
        m.d.comb += [
            bus.resetting.eq(self.resetting),
            bus.forget.eq(self.forget),
            self.ignored.eq(bus.ignored),
            file.word.eq(bus.word),
            file.read.eq(bus.read),
            file.write.eq(bus.write),
            file.data.eq(bus.data),
            file.strobe.eq(bus.strobe),
            bus.value.eq(file.value),
        ]
        return m


async def until(ctx, signal):
    """Cycles until the signal is 1."""
    for cycle in range(20):
        if ctx.get(signal):
            return cycle
        await ctx.tick()
    raise AssertionError("no answer")


async def read(ctx, host, address):
    """Word and response; checks the latency."""
    ctx.set(host.araddr, address)
    ctx.set(host.arvalid, 1)
    await until(ctx, host.arready)
    await ctx.tick()
    ctx.set(host.arvalid, 0)
    assert await until(ctx, host.rvalid) == RegisterBus.READ_CYCLES - 2
    answer = ctx.get(host.rdata), ctx.get(host.rresp)
    ctx.set(host.rready, 1)
    await ctx.tick()
    ctx.set(host.rready, 0)
    return answer


async def write(ctx, host, address, data, strobe=0b1111):
    """Response."""
    ctx.set(host.awaddr, address)
    ctx.set(host.wdata, data)
    ctx.set(host.wstrb, strobe)
    ctx.set(host.awvalid, 1)
    ctx.set(host.wvalid, 1)
    await until(ctx, host.awready)
    assert ctx.get(host.wready)
    await ctx.tick()
    ctx.set(host.awvalid, 0)
    ctx.set(host.wvalid, 0)
    await until(ctx, host.bvalid)
    answer = ctx.get(host.bresp)
    ctx.set(host.bready, 1)
    await ctx.tick()
    ctx.set(host.bready, 0)
    return answer


def parts(register, value):
    """Offsets and words of a register that holds ``value``."""
    mask = (1 << WORD_BITS) - 1
    return [
        (OFFSETS[register.name] + WORD_BYTES * i, value >> WORD_BITS * i & mask)
        for i in range(register.words)
    ]


def test_every_register_that_is_read_or_written():
    dut, rng = Registers(), random.Random(4)

    async def bench(ctx):
        values = {}
        for register in REGISTERS:
            value = rng.getrandbits(register.bits)
            member = getattr(dut.file, register.name)
            if register.access == "ro":
                ctx.set(member, value)
                values[register.name] = value
            elif register.access == "rw":
                assert ctx.get(member) == register.reset
                for address, word in parts(register, value):
                    assert await write(ctx, dut.host, address, word) == Response.OKAY.value
                values[register.name] = value
                assert ctx.get(member) == value
        for register in REGISTERS:
            for address, word in parts(register, values.get(register.name, 0)):
                assert await read(ctx, dut.host, address) == (word, Response.OKAY.value)

    simulate(dut, bench)


@pytest.mark.parametrize("strobe", [0b0000, 0b0001, 0b0110, 0b1111])
def test_strobes_enable_bytes(strobe):
    dut, address = Registers(), OFFSETS["images"]
    enabled = sum(0xFF << 8 * byte for byte in range(4) if strobe >> byte & 1)

    async def bench(ctx):
        await write(ctx, dut.host, address, 0x01234567)
        await write(ctx, dut.host, address, 0xDEADBEEF, strobe)
        assert ctx.get(dut.file.images) == (0xDEADBEEF & enabled) | (0x01234567 & ~enabled)

    simulate(dut, bench)


def test_control_acts_for_one_cycle():
    dut, acts = Registers(), []

    async def watch(ctx):
        async for _, _, control in ctx.tick().sample(dut.file.control):
            if control:
                acts.append(control)

    async def bench(ctx):
        assert await write(ctx, dut.host, OFFSETS["control"], 0b101) == Response.OKAY.value
        await ctx.tick().repeat(5)

    simulate(dut, bench, processes=[watch])
    assert acts == [0b101]


def test_unknown_addresses_and_writes_in_reset_are_ignored():
    """An error response would kill a process, or a kernel."""
    dut, beyond, images = Registers(), WORD_BYTES * WORDS, OFFSETS["images"]

    async def bench(ctx):
        async def was_ignored(access):
            assert (await access)[-1] == Response.OKAY.value
            ignored = ctx.get(dut.ignored)
            ctx.set(dut.forget, 1)
            await ctx.tick()
            ctx.set(dut.forget, 0)
            assert not ctx.get(dut.ignored)
            return ignored

        async def written(address, data):
            return (await write(ctx, dut.host, address, data),)

        assert await read(ctx, dut.host, beyond) == (0, Response.OKAY.value)
        assert await was_ignored(read(ctx, dut.host, beyond))
        assert await was_ignored(written(beyond, 1))
        assert not await was_ignored(written(images, 7))
        ctx.set(dut.resetting, 1)
        assert await was_ignored(written(images, 9))
        assert ctx.get(dut.file.images) == 7
        assert not await was_ignored(read(ctx, dut.host, images))
        assert await read(ctx, dut.host, images) == (7, Response.OKAY.value)

    simulate(dut, bench)


def test_counters_of_two_words_do_not_tear():
    """The upper word is that of the cycle in which the lower one was read."""
    dut, begin = Registers(), (5 << 32) - 40
    counting = [register.name for register in REGISTERS if register.counts]

    async def count(ctx):
        value = begin
        while True:
            for name in counting:
                ctx.set(getattr(dut.file, name), value)
            await ctx.tick()
            value += 1

    async def bench(ctx):
        seen = []
        for _ in range(6):
            for name in counting:
                low, high = [(await read(ctx, dut.host, at))[0] for at, _ in parts(LONG[name], 0)]
                seen.append(high << 32 | low)
        assert seen == sorted(seen) and seen[0] < 5 << 32 < seen[-1] < begin + 1000

    simulate(dut, bench, processes=[count])
    assert counting == ["cycles", "cycles_first", "cycles_last"]


LONG = {register.name: register for register in REGISTERS if register.words == 2}
