# amaranth: UnusedElaboratable=no
"""The store unit against golden's words, with a residual and a memory that stall at random."""

import random
from dataclasses import replace

import pytest
from amaranth.hdl import Signal

from rtl.config import TINY
from rtl.isa.faults import FaultCode
from rtl.isa.instructions import Base, Opcode
from rtl.memory.store import StoreUnit
from tests.rtl.memory.bench import PATIENCE, pulse, set_regions, start
from tests.rtl.simulation import simulate


class StoreBench:
    """A residual full of random values, and a memory that takes beats and answers."""

    TOKEN = {"base": Base.OUTPUT, "offset": 0x40, "source_address": 9, "token": 7, "row_words": 3}

    def __init__(self, config, stall, error=0):
        self.dut, self.reset = StoreUnit(config), Signal()
        self.stall, self.error = stall, error
        self.beat_bytes = config.memory_bytes
        self.rng = rng = random.Random(3)
        self.words = {
            (half, word): [
                [rng.randrange(-(1 << 15), 1 << 15) for _ in range(16)] for _ in range(2)
            ]
            for half in range(2)
            for word in range(64)
        }
        self.written, self.commands, self.faults = bytearray(), [], []

    def run(self, bench):
        background = [self.residual, self.memory]
        simulate(self.dut, bench, background=background, reset=self.reset)

    async def residual(self, ctx):
        request, pending = self.dut.residual.request, [None, None]
        while True:
            ctx.set(request.ready, self.rng.random() >= self.stall)
            data = pending.pop(0)
            if data:
                ctx.set(self.dut.residual.data, data)
            word = None
            if ctx.get(request.valid) and ctx.get(request.ready):
                payload = ctx.get(request.payload)
                word = self.words[payload.half, payload.word]
            pending.append(word)
            await ctx.tick()

    async def memory(self, ctx):
        port, left, wait = self.dut.writer, 0, 0
        command, beats = port.command, port.beats
        while True:
            ready = self.rng.random() >= self.stall
            ctx.set(command.ready, ready and not left and not wait)
            ctx.set(beats.ready, ready and left > 0)
            ctx.set(port.done, wait == 1)
            ctx.set(port.error, self.error)
            *_, clear, asked, wanted, given, beat = await ctx.tick().sample(
                self.reset, command.valid & command.ready, command.payload,
                beats.valid & beats.ready, beats.payload,
            )  # fmt: skip
            wait = max(0, wait - 1)
            if clear:
                left = wait = 0
                continue
            if asked:
                self.commands.append(wanted.address)
                left = wanted.beats
            if given:
                self.written.extend(beat.to_bytes(self.beat_bytes, "little"))
                left -= 1
                wait = 0 if left else 6

    async def store(self, ctx):
        """STORE, number 12, until it is done."""
        await start(ctx, self.dut, Opcode.STORE, 12, **self.TOKEN)
        for _ in range(PATIENCE):
            if ctx.get(self.dut.done.valid):
                break
            await ctx.tick()
            if ctx.get(self.dut.fault.valid):
                self.faults.append((ctx.get(self.dut.fault.code), ctx.get(self.dut.fault.number)))
        assert ctx.get(self.dut.done.signal) == 12

    def check(self):
        values = [value for word in (9, 10, 11) for value in self.words[1, word][1]]
        assert self.written == b"".join(
            value.to_bytes(4, "little", signed=True) for value in values
        )
        assert self.commands == [0xF040]


@pytest.mark.parametrize("stall", [0, 0.5])
@pytest.mark.parametrize("memory_bytes", [16, 64])
@pytest.mark.parametrize("error", [0, 1])
def test_store(memory_bytes, stall, error):
    store = StoreBench(replace(TINY, memory_bytes=memory_bytes), stall, error)

    async def bench(ctx):
        await set_regions(ctx, store.dut)
        await store.store(ctx)

    store.run(bench)
    store.check()
    assert store.faults == ([(FaultCode.WRITE, 12)] if error else [])


@pytest.mark.parametrize("wait", [2, 9, 30])
def test_reset_in_mid_store(wait):
    store = StoreBench(TINY, 0.2)

    async def bench(ctx):
        dut = store.dut
        await set_regions(ctx, dut)
        await start(ctx, dut, Opcode.STORE, 11, **store.TOKEN)
        await ctx.tick().repeat(wait)
        assert ctx.get(dut.busy)
        await pulse(ctx, store.reset)
        assert ctx.get(dut.idle)
        store.written.clear()
        store.commands.clear()
        for _ in range(30):
            assert not ctx.get(dut.writer.command.valid) and not ctx.get(dut.done.valid)
            await ctx.tick()
        await store.store(ctx)

    store.run(bench)
    store.check()
    assert not store.faults


@pytest.mark.parametrize("offset, row_words", [(0xFC0, 2), (8, 1), (0, 0)])
def test_store_refuses(offset, row_words):
    dut = StoreUnit(TINY)
    faults = []

    async def bench(ctx):
        await set_regions(ctx, dut)
        await start(ctx, dut, Opcode.STORE, 3, base=Base.OUTPUT, offset=offset, row_words=row_words)
        for _ in range(20):
            assert not ctx.get(dut.writer.command.valid)
            if ctx.get(dut.fault.valid):
                faults.append((ctx.get(dut.fault.code), ctx.get(dut.fault.number)))
            await ctx.tick()

    simulate(dut, bench)
    assert faults == [(FaultCode.ADDRESS, 3)]
