# amaranth: UnusedElaboratable=no
"""The store unit against golden's words, with a residual and a memory that stall at random."""

import random
from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Signal

from rtl.config import TINY
from rtl.isa.faults import FaultCode
from rtl.isa.instructions import Base, Instruction, Opcode
from rtl.isa.scratchpads import read_words
from rtl.memory.store import StoreUnit
from tests.rtl.memory.bench import PATIENCE, pulse, set_regions, start
from tests.rtl.simulation import simulate


class StoreBench:
    """A residual full of random values, and a memory that takes beats and answers."""

    TOKEN = {"base": Base.OUTPUT, "offset": 0x40, "source_address": 9, "token": 7, "row_words": 3}

    def __init__(self, config, stall, error=0, **operands):
        self.operands = self.TOKEN | operands
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
        self.cycle, self.beat_cycles = 0, []

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
            self.cycle += 1
            if clear:
                left = wait = 0
                continue
            if asked:
                self.commands.append(wanted.address)
                left = wanted.beats
            if given:
                self.written.extend(beat.to_bytes(self.beat_bytes, "little"))
                self.beat_cycles.append(self.cycle)
                left -= 1
                wait = 0 if left else 6

    async def store(self, ctx):
        """STORE, number 12, until it is done."""
        await start(ctx, self.dut, Opcode.STORE, 12, **self.operands)
        for _ in range(PATIENCE):
            if ctx.get(self.dut.done.valid):
                break
            await ctx.tick()
            if ctx.get(self.dut.fault.valid):
                self.faults.append((ctx.get(self.dut.fault.code), ctx.get(self.dut.fault.number)))
        assert ctx.get(self.dut.done.signal) == 12

    def check(self):
        """What was written is what the interpreter of the instruction set writes."""
        i = Instruction(Opcode.STORE, self.operands)
        place = read_words(i, self.dut.config)
        values = [
            value
            for bank, word in zip(place.banks.flat, place.words.flat, strict=True)
            for value in self.words[bank // 2, word][bank % 2]
        ]
        expected = np.array(values).astype("<i2" if i["int16"] else "<i4").tobytes()
        assert self.written[: len(expected)] == expected
        assert len(self.written) == -(-len(expected) // self.beat_bytes) * self.beat_bytes
        assert self.commands == [0xF040]


TOKENS = {
    "one": {},
    "the logits of many": {"row_words": 40, "token": 3},
    "one word each": {"row_words": 1, "more_words": 5, "token": 2},
    "groups": {"row_words": 2, "more_words": 2 * 9, "token": 1},
    "odd words": {"row_words": 3, "more_words": 3 * 4, "token": 3},
}


@pytest.mark.parametrize("stall", [0, 0.5])
@pytest.mark.parametrize("memory_bytes", [8, 16, 32, 64])
@pytest.mark.parametrize("int16", [0, 1])
@pytest.mark.parametrize("tokens", TOKENS)
def test_store(memory_bytes, stall, int16, tokens):
    config = replace(TINY, memory_bytes=memory_bytes)
    store = StoreBench(config, stall, int16=int16, **TOKENS[tokens])

    async def bench(ctx):
        await set_regions(ctx, store.dut)
        for _ in range(2):
            store.written.clear()
            store.commands.clear()
            await store.store(ctx)

    store.run(bench)
    store.check()
    assert store.faults == []


@pytest.mark.parametrize(
    "memory_bytes, int16, pace", [(16, 0, 1), (16, 1, 1), (64, 0, 1), (64, 1, 2)]
)
def test_beats_follow_each_other(memory_bytes, int16, pace):
    """Without a pause, unless a beat holds two words: one is read per cycle."""
    config = replace(TINY, memory_bytes=memory_bytes)
    store = StoreBench(config, 0, int16=int16, row_words=4, more_words=20)

    async def bench(ctx):
        await set_regions(ctx, store.dut)
        await store.store(ctx)

    store.run(bench)
    assert set(np.diff(store.beat_cycles)) == {pace}
    assert len(store.beat_cycles) == 24 * (32 if int16 else 64) // memory_bytes


@pytest.mark.parametrize("error", [0, 1])
def test_an_answer_may_be_an_error(error):
    store = StoreBench(TINY, 0.5, error)

    async def bench(ctx):
        await set_regions(ctx, store.dut)
        await store.store(ctx)

    store.run(bench)
    store.check()
    assert store.faults == ([(FaultCode.WRITE, 12)] if error else [])


@pytest.mark.parametrize("wait", [2, 9, 12, 30])
def test_reset_in_mid_store(wait):
    store = StoreBench(TINY, 0.2, more_words=15, int16=1)

    async def bench(ctx):
        dut = store.dut
        await set_regions(ctx, dut)
        await start(ctx, dut, Opcode.STORE, 11, **store.operands)
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


@pytest.mark.parametrize(
    "memory_bytes, operands",
    [
        (16, {"offset": 0xFC0, "row_words": 2}),
        (16, {"offset": 0xF80, "row_words": 1, "more_words": 2}),
        (16, {"offset": 0xFA0, "row_words": 1, "more_words": 3, "int16": 1}),
        (64, {"offset": 0xF80, "row_words": 1, "more_words": 4, "int16": 1}),
        (16, {"offset": 8, "row_words": 1}),
        (16, {"offset": 0, "row_words": 0}),
    ],
)
def test_store_refuses(memory_bytes, operands):
    dut = StoreUnit(replace(TINY, memory_bytes=memory_bytes))
    faults = []

    async def bench(ctx):
        await set_regions(ctx, dut)
        await start(ctx, dut, Opcode.STORE, 3, base=Base.OUTPUT, **operands)
        for _ in range(20):
            assert not ctx.get(dut.writer.command.valid)
            if ctx.get(dut.fault.valid):
                faults.append((ctx.get(dut.fault.code), ctx.get(dut.fault.number)))
            await ctx.tick()

    simulate(dut, bench)
    assert faults == [(FaultCode.ADDRESS, 3)]
