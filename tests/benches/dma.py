"""cocotb: the DMA's clients, {lengths} x {idle} x {backpressure}, and a memory of cocotbext-axi."""

import itertools
import os
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge
from cocotbext.axi import AxiBus, AxiRam

from rtl.memory.writer import Writer
from tests.benches.axi_rules import AxiRules

BEAT = int(os.environ.get("MEMORY_BYTES", "16"))
SIZE = 0x10000


def pauses(seed, probability):
    rng = random.Random(seed)
    return (rng.random() < probability for _ in itertools.count())


class DmaBench:
    """The DMA with a memory; the test plays its clients."""

    def __init__(self, dut, stall):
        self.dut = dut
        Clock(dut.clk, 10, unit="ns", impl="gpi").start()
        self.ram = AxiRam(AxiBus.from_prefix(dut, "memory_"), dut.clk, dut.rst, size=SIZE)
        for part in (self.ram.write_if, self.ram.read_if):
            part.log.setLevel("WARNING")
        self.content = random.Random(1).randbytes(SIZE)
        self.ram.write(0, self.content)
        read, write = self.ram.read_if, self.ram.write_if
        channels = (read.ar_channel, read.r_channel, write.aw_channel, write.w_channel,
                    write.b_channel)  # fmt: skip
        for seed, channel in enumerate(channels):
            channel.set_pause_generator(pauses(seed, stall))
        self.rules = AxiRules(dut, BEAT)

    async def reset(self):
        for name in ("program", "load", "store"):
            self.set(name, "command__valid", 0)
            self.set(name, "beats__valid" if name == "store" else "beats__ready", 0)
        self.dut.clear.value = 0
        self.dut.rst.value = self.dut.reset.value = 1
        await ClockCycles(self.dut.clk, 4)
        self.dut.rst.value = self.dut.reset.value = 0
        await ClockCycles(self.dut.clk, 2)
        cocotb.start_soon(self.rules.watch())

    def set(self, client, name, value):
        getattr(self.dut, f"{client}__{name}").value = value

    def get(self, client, name):
        return int(getattr(self.dut, f"{client}__{name}").value)

    async def give(self, client, port, payload, rng, idle):
        while rng.random() < idle:
            await RisingEdge(self.dut.clk)
        self.set(client, f"{port}__payload", payload)
        self.set(client, f"{port}__valid", 1)
        while True:
            await ReadOnly()
            ready = self.get(client, f"{port}__ready")
            await RisingEdge(self.dut.clk)
            if ready:
                break
        self.set(client, f"{port}__valid", 0)

    async def read(self, client, commands, seed, idle, stall):
        """Read all beats of ``commands``, pairs of address and bytes; check data and ``last``."""
        rng = random.Random(seed)

        async def ask():
            for address, size in commands:
                await self.give(client, "command", address | size << 40, rng, idle)

        asking = cocotb.start_soon(ask())
        for address, size in commands:
            first, end = address // BEAT, -(-(address + size) // BEAT)
            for beat in range(first, end):
                payload = await self.take(client, rng, stall)
                data = (payload & ((1 << 8 * BEAT) - 1)).to_bytes(BEAT, "little")
                assert data == self.content[beat * BEAT : (beat + 1) * BEAT], (address, size, beat)
                assert payload >> 8 * BEAT == (beat == end - 1) << 1, (address, size, beat)
        await asking

    async def take(self, client, rng, stall):
        while rng.random() < stall:
            await RisingEdge(self.dut.clk)
        self.set(client, "beats__ready", 1)
        while True:
            await ReadOnly()
            valid, payload = self.get(client, "beats__valid"), self.get(client, "beats__payload")
            await RisingEdge(self.dut.clk)
            if valid:
                self.set(client, "beats__ready", 0)
                return payload

    async def write(self, address, content, seed, idle):
        rng = random.Random(seed)
        beats = len(content) // BEAT
        await self.give("store", "command", address | beats << 40, rng, idle)
        for i in range(beats):
            beat = content[i * BEAT : (i + 1) * BEAT]
            await self.give("store", "beats", int.from_bytes(beat, "little"), rng, idle)
        for _ in range(5000):
            await ReadOnly()
            done = int(self.dut.store__done.value)
            await RisingEdge(self.dut.clk)
            if done:
                return
        raise AssertionError("no answer")


def commands(rng, count):
    """Yield commands with lengths around beats, bursts and 4 KB, in any alignment."""
    lengths = [1, BEAT - 1, BEAT, BEAT + 1, 16 * BEAT, 16 * BEAT + 1, 100, 1000, 5000]
    for _ in range(count):
        size = rng.choice(lengths)
        yield (
            rng.choice([rng.randrange(SIZE - size), max(0, 0x1000 - rng.randrange(size + 1))]),
            size,
        )


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.6], stall=[0.0, 0.6], memory=[0.0, 0.4])
async def both_clients_read(dut, idle, stall, memory):
    bench = DmaBench(dut, memory)
    await bench.reset()
    rng = random.Random(5)
    program = cocotb.start_soon(bench.read("program", list(commands(rng, 8)), 6, idle, stall))
    load = cocotb.start_soon(bench.read("load", list(commands(rng, 12)), 7, idle, stall))
    await program
    await load
    await ClockCycles(dut.clk, 10)
    assert dut.quiet.value == 1 and bench.rules.outstanding == 0


@cocotb.test()
async def a_client_that_stands_still_blocks_nobody(dut):
    bench = DmaBench(dut, 0)
    await bench.reset()
    await bench.give("load", "command", 0 | 8192 << 40, random, 0)
    await bench.give("program", "command", 0x2000 | 4096 << 40, random, 0)
    await ClockCycles(dut.clk, 500)  # both buffers are full
    assert dut.quiet.value == 1
    rng = random.Random(1)
    for beat in range(8192 // BEAT):
        payload = await bench.take("load", rng, 0)
        data = (payload & ((1 << 8 * BEAT) - 1)).to_bytes(BEAT, "little")
        assert data == bench.content[beat * BEAT : (beat + 1) * BEAT]


@cocotb.test()
async def many_bursts_are_outstanding(dut):
    bench = DmaBench(dut, 0)
    await bench.reset()
    bench.ram.read_if.ar_channel.queue_occupancy_limit = 64
    bench.ram.read_if.r_channel.set_pause_generator(itertools.repeat(True))
    await bench.give("load", "command", 256 * BEAT << 40, random, 0)
    await ClockCycles(dut.clk, 200)
    assert bench.rules.most_outstanding >= 16


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.6], memory=[0.0, 0.4])
async def writes_land(dut, idle, memory):
    bench = DmaBench(dut, memory)
    await bench.reset()
    expected = bytearray(bench.content)
    rng = random.Random(8)
    for beats in (1, 2, 15, 16, 17, 40):
        address = rng.choice([0x1000 - beats // 2 * BEAT, rng.randrange(512) * BEAT])
        content = rng.randbytes(beats * BEAT)
        await bench.write(address, content, beats, idle)
        expected[address : address + len(content)] = content
    assert bench.ram.read(0, SIZE) == bytes(expected)


@cocotb.test()
async def written_bursts_do_not_wait_for_answers(dut):
    """Beats follow each other without a pause, until too many bursts have no answer."""
    bench = DmaBench(dut, 0)
    bench.ram.write_if.aw_channel.queue_occupancy_limit = 64
    bench.ram.write_if.w_channel.queue_occupancy_limit = -1
    await bench.reset()
    bench.ram.write_if.b_channel.set_pause_generator(itertools.repeat(True))
    await bench.give("store", "command", 0x1000 | 20 * 16 << 40, random, 0)
    bench.set("store", "beats__valid", 1)
    taken = []
    for cycle in range(500):
        await ReadOnly()
        if bench.get("store", "beats__ready"):
            taken.append(cycle)
        await RisingEdge(dut.clk)
    assert len(taken) == Writer.OUTSTANDING * 16 == taken[-1] - taken[0] + 1


@cocotb.test()
@cocotb.parametrize(memory=[0.0, 0.5])
async def cleared_in_mid_stream(dut, memory):
    """Reads are drained, a write burst is completed without strobes, then all begins anew."""
    bench = DmaBench(dut, memory)
    await bench.reset()
    for wait in (0, 1, 2, 5, 9, 20, 33, 60):
        await bench.give("load", "command", 0x30 | 3000 << 40, random, 0)
        await bench.give("store", "command", 0x8000 | 50 << 40, random, 0)
        await bench.give("store", "beats", 0x55, random, 0)
        await ClockCycles(dut.clk, wait)
        dut.clear.value = dut.reset.value = 1
        await ClockCycles(dut.clk, 2)
        for _ in range(2000):
            await RisingEdge(dut.clk)
            if dut.quiet.value == 1:
                break
        else:
            raise AssertionError("never quiet")
        dut.clear.value = dut.reset.value = 0
        await RisingEdge(dut.clk)
        assert (
            bench.ram.read(0x8000 + BEAT, 50 * BEAT) == bench.content[0x8000 + BEAT :][: 50 * BEAT]
        )
        await bench.read("load", [(0x77, 1000)], 1, 0, 0)
        await bench.write(0x9000, bench.content[0x9000 : 0x9000 + 4 * BEAT], 1, 0)
