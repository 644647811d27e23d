"""Memories of the selection of tokens, and the residual's writes to places: against arrays."""

import random
from dataclasses import replace

import numpy as np
import pytest

from rtl.isa.faults import FaultCode
from rtl.isa.instructions import Unit
from rtl.memory.ports import IMPORTANCE, READ_LATENCY, selection_lanes
from rtl.memory.scratchpads.residual import ResidualMemory
from rtl.memory.scratchpads.selection import ImportanceMemory, PlaceMemory
from tests.rtl.memory.scratchpads.test_scratchpad import SMALL, read, write
from tests.rtl.simulation import simulate
from tests.rtl.sizes import HALVES, TINY

ENGINES = [replace(engine, select_tokens=256) for engine in (TINY, HALVES)]
SELECTING = replace(SMALL, select_tokens=256)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_importance_is_written_by_fours_and_read_by_words(engine):
    dut, rng, lanes = ImportanceMemory(engine), random.Random(1), selection_lanes(engine)
    model = np.zeros(256, np.int64)

    async def bench(ctx):
        for four in rng.sample(range(64), 64) + rng.choices(range(64), k=40):
            scores = [rng.getrandbits(IMPORTANCE.width) for _ in range(4)]
            model[4 * four : 4 * four + 4] = scores
            await write(ctx, dut.write, {"word": four, "scores": scores})
        await ctx.tick()
        for word in rng.sample(range(256 // lanes), 256 // lanes):
            raw = await read(ctx, dut.read, word)
            found = [raw >> IMPORTANCE.width * lane & 0xFFFFFF for lane in range(lanes)]
            assert found == model[word * lanes : (word + 1) * lanes].tolist()

    simulate(dut, bench)


def test_places_are_what_was_written():
    dut, rng = PlaceMemory(SELECTING, tap=True), random.Random(2)
    places = {word: rng.getrandbits(20) for word in rng.sample(range(256), 50)}

    async def bench(ctx):
        for word, raw in places.items():
            place = {"kept": raw & 3, "index": raw >> 2 & 3, "down": raw >> 4}
            await write(ctx, dut.write, {"word": word, "place": place, "first": 7, "number": 3})
            tap = ctx.get(dut.tap.softmax.beat)
            assert (tap.word, tap.first, tap.number) == (word, 7, 3)
        await ctx.tick()
        for word, raw in places.items():
            assert await read(ctx, dut.read, word) == raw

    simulate(dut, bench)


@pytest.mark.parametrize(
    "memory, depth, reader",
    [(ImportanceMemory, 256 // 8, Unit.SOFTMAX), (PlaceMemory, 256, Unit.MATMUL)],
)
def test_beyond_the_depth_is_a_fault(memory, depth, reader):
    dut = memory(SELECTING)
    words = 64 if memory is ImportanceMemory else 256

    async def bench(ctx):
        for word, valid in ((words - 1, 0), (words, 1)):
            await write(ctx, dut.write, {"word": word, "number": 9})
            await ctx.tick()
            fault = ctx.get(dut.fault)
            assert fault["valid"] == valid
        assert (fault["code"], fault["unit"], fault["number"]) == (
            FaultCode.ADDRESS, Unit.SOFTMAX, 9
        )  # fmt: skip
        for word, valid in ((depth - 1, 0), (depth, 1)):
            await read(ctx, dut.read, word)
            assert ctx.get(dut.fault.valid) == valid
        assert ctx.get(dut.fault.unit) == reader

    simulate(dut, bench)


def test_the_drain_writes_both_halves_and_a_load_waits_for_those_that_it_may_write():
    """Random words, lanes and swaps, with a load whenever there is room."""
    dut, rng = ResidualMemory(SELECTING, tap=True), random.Random(3)
    rows, words = SELECTING.row_lanes, SELECTING.residual_words
    model = np.full((4, words), -1)

    async def bench(ctx):
        for _ in range(300):
            enable, word = ([rng.randrange(n) for _ in range(2)] for n in (4, words))
            swap, valid, half = rng.randrange(2), rng.random() < 0.7, rng.randrange(2)
            values = [rng.getrandbits(15) for _ in range(2)]
            written = sum((lanes > 0) << own for own, lanes in enumerate(enable))
            halves = written | rng.randrange(4)
            beat = {"halves": halves, "enable": enable, "word": word, "swap": swap}
            ctx.set(dut.drain.beat, beat | {"values": [[value] * rows for value in values]})
            ctx.set(dut.drain.valid, valid)
            loaded = {"half": half, "enable": rng.randrange(4), "word": rng.randrange(words)}
            content = [[rng.getrandbits(15)] * rows for _ in range(2)]
            ctx.set(dut.load.p, loaded | {"values": content})
            ctx.set(dut.load.valid, 1)
            free = not (valid and halves >> half & 1)
            assert ctx.get(dut.load.ready) == free
            for bank in range(4):
                own, lane = divmod(bank, 2)
                if valid and enable[own] >> lane & 1:
                    model[bank, word[own]] = values[lane ^ swap]
                if free and own == half and loaded["enable"] >> lane & 1:
                    model[bank, loaded["word"]] = content[lane][0]
            await ctx.tick()
        ctx.set(dut.drain.valid, 0)
        ctx.set(dut.load.valid, 0)
        await ctx.tick().repeat(2)
        port = dut.drain_read
        for (bank, word), value in np.ndenumerate(model):
            ctx.set(port.request.valid, 1)
            ctx.set(port.request.p, {"half": bank // 2, "word": word})
            await ctx.tick().repeat(READ_LATENCY)
            assert value < 0 or list(ctx.get(port.data[bank % 2])) == [value] * rows

    simulate(dut, bench)


@pytest.mark.parametrize("half", [0, 1])
def test_a_moved_write_beyond_the_depth_is_a_fault_and_does_not_land(half):
    dut, outside = ResidualMemory(SELECTING, tap=True), SELECTING.residual_words

    async def bench(ctx):
        for enable, valid in (([0, 0], 0), ([1, 1], 1)):
            word = [outside if half == own else 2 for own in range(2)]
            await write(ctx, dut.drain, {"enable": enable, "word": word, "number": 4})
            assert not ctx.get(dut.tap.drain_0.valid) and not ctx.get(dut.tap.drain_1.valid)
            await ctx.tick()
            fault = ctx.get(dut.fault)
            assert fault["valid"] == valid
        assert (fault["unit"], fault["number"]) == (Unit.MATMUL, 4)

    simulate(dut, bench)
