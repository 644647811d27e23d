# amaranth: UnusedElaboratable=no
"""The load unit against golden scratchpads, with a memory of random latency and stalls.

Its parts (check, loaders, cutter and writers) are tested here, in their places: each has little
but the handshake with its neighbours. The cutter's own tests: tests/rtl/memory/test_beats.py.
"""

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from amaranth.hdl import Const, Signal

from rtl.config import TINY
from rtl.isa.faults import FaultCode
from rtl.isa.instructions import Base, Opcode, Target, Unit
from rtl.memory.load.unit import LoadUnit
from tests.rtl.memory.bench import REGIONS, idle, pulse, set_regions, start
from tests.rtl.simulation import simulate

MEMORY = random.Random(0).randbytes(1 << 16)


def memory(dut, rng, stall, *, beat_bytes, errors=(), reset=None):
    """Answers the unit's read commands, in order; forgets them in a reset."""

    def beats_of(command):
        first = command.address // beat_bytes
        last = (command.address + command.bytes - 1) // beat_bytes
        for beat in range(first, last + 1):
            content = MEMORY[beat * beat_bytes : (beat + 1) * beat_bytes]
            value = int.from_bytes(content, "little")
            yield {"data": value, "last": beat == last, "error": beat in errors}

    async def answer(ctx):
        commands, beats = dut.reader.command, dut.reader.beats
        cleared = Const(0) if reset is None else reset
        waiting, offered = [], False
        while True:
            ctx.set(commands.ready, rng.random() >= stall)
            offered = bool(waiting) and (offered or rng.random() >= stall)
            ctx.set(beats.valid, offered)
            if offered:
                ctx.set(beats.payload, waiting[0])
            *_, clear, asked, command, taken = await ctx.tick().sample(
                cleared, commands.valid & commands.ready, commands.payload, beats.ready
            )
            if offered and taken:
                waiting.pop(0)
                offered = False
            if asked:
                waiting += beats_of(command)
            if clear:
                waiting, offered = [], False

    return answer


class Watcher:
    """Everything that a load unit writes, and its completions, cycle by cycle."""

    def __init__(self, dut, refuse=0.0):
        self.dut, self.refuse = dut, refuse
        self.forget()

    def forget(self):
        self.writes, self.done, self.cycles = [], [], []

    async def watch(self, ctx):
        dut, rng = self.dut, random.Random(9)
        cycle = 0
        while True:
            ctx.set(dut.residual.ready, rng.random() >= self.refuse)
            self.see(ctx)
            if ctx.get(dut.done.valid):
                self.done.append((ctx.get(dut.done.number), ctx.get(dut.done.signal)))
                self.cycles.append(cycle)
            await ctx.tick()
            cycle += 1

    def see(self, ctx):
        dut = self.dut
        for name in ("weights", "parameters", "exponents"):
            port = getattr(dut, name)
            if ctx.get(port.valid):
                beat = ctx.get(port.beat)
                self.writes.append((name, beat.word, beat.part, beat.beat, beat.number))
        if ctx.get(dut.gelu.valid):
            beat = ctx.get(dut.gelu.beat)
            self.writes.append(("gelu", beat.table, beat.index, beat.code, beat.number))
        if ctx.get(dut.pixels.valid):
            beat = ctx.get(dut.pixels.beat)
            content = bytes(ctx.get(byte) for byte in dut.pixels.beat.bytes)
            self.writes.append(("pixels", beat.lane, beat.word, content, beat.number))
        if ctx.get(dut.residual.valid) and ctx.get(dut.residual.ready):
            beat = ctx.get(dut.residual.payload)
            word = ctx.get(dut.residual.payload["values"].as_value())
            self.writes.append(
                ("residual", beat.half, beat.enable, beat.word,
                 word & ((1 << len(dut.residual.payload["values"].as_value()) // 2) - 1),
                 beat.number)
            )  # fmt: skip


def expected(config, number, target, base, offset, bytes, **operands):
    """Writes that a LOAD means."""
    start = REGIONS[base]["base"] + offset
    content = MEMORY[start : start + bytes]
    destination = operands.get("destination", 0)
    beat = config.memory_bytes
    if target in (Target.WEIGHTS, Target.PARAMETERS, Target.EXPONENTS):
        size = {
            Target.WEIGHTS: config.weight_word_bytes,
            Target.PARAMETERS: config.parameter_word_bytes,
            Target.EXPONENTS: beat,
        }[target]
        for i in range(bytes // beat):
            word = destination + i * beat // size
            if target == Target.WEIGHTS:
                word %= config.weight_words
            value = int.from_bytes(content[i * beat : (i + 1) * beat], "little")
            yield target.name.lower(), word, i * beat % size // beat, value, number
    elif target == Target.GELU:
        for i, code in enumerate(content):
            yield "gelu", destination & 1, i, code & 63, number
    elif target == Target.RESIDUAL:
        size = config.residual_word_bytes
        for i in range(bytes // size):
            token = operands["token"] + i // operands["row_words"]
            groups = token // 4 - operands["token"] // 4
            word = destination + groups * operands["stride"] + i % operands["row_words"]
            value = int.from_bytes(content[i * size : (i + 1) * size], "little")
            yield "residual", token // 2 % 2, 1 << token % 2, word, value, number
    else:
        segment, segments = operands["segment_bytes"], operands["segments"]
        words = -(-segment // config.depth_lanes)
        for y in range(bytes // (segment * segments)):
            for s in range(segments):
                tile, lane = divmod(operands["lane_first"] + s, config.token_lanes)
                row = content[(y * segments + s) * segment :][:segment]
                for x in range(words):
                    part = row[x * config.depth_lanes : (x + 1) * config.depth_lanes]
                    word = destination + tile * operands["stride"] + y * words + x
                    yield "pixels", lane, word, part.ljust(config.depth_lanes, b"\0"), number


LOADS = [
    {"target": Target.WEIGHTS, "base": Base.MODEL, "offset": 64, "bytes": 512, "destination": 1021},
    {"target": Target.RESIDUAL, "base": Base.MODEL, "offset": 0x400, "bytes": 32 * 2 * 7,
     "destination": 40, "stride": 2, "token": 3, "row_words": 2},
    {"target": Target.PARAMETERS, "base": Base.MODEL, "offset": 0x800, "bytes": 384,
     "destination": 3},
    {"target": Target.PIXELS, "base": Base.IMAGE, "offset": 0, "bytes": 7 * 4 * 7,
     "destination": 11, "stride": 7, "lane_first": 2, "segment_bytes": 7, "segments": 4},
    {"target": Target.PIXELS, "base": Base.IMAGE, "offset": 10, "bytes": 48 * 6 * 3,
     "destination": 100, "stride": 96, "lane_first": 3, "segment_bytes": 48, "segments": 6},
    {"target": Target.EXPONENTS, "base": Base.MODEL, "offset": 0, "bytes": 64, "destination": 5},
    {"target": Target.GELU, "base": Base.MODEL, "offset": 0x1000, "bytes": 256, "destination": 1},
    {"target": Target.WEIGHTS, "base": Base.MODEL, "offset": 0x2000, "bytes": 64},
]  # fmt: skip


@pytest.mark.parametrize("stall, refuse", [(0, 0), (0.5, 0), (0, 0.5), (0.3, 0.3)])
@pytest.mark.parametrize("memory_bytes", [8, 16, 64])
def test_loads(memory_bytes, stall, refuse):
    config = replace(TINY, memory_bytes=memory_bytes)
    dut = LoadUnit(config)
    watcher = Watcher(dut, refuse)
    loads = [dict(load) for load in LOADS]
    for load in loads:
        if load["target"] == Target.EXPONENTS:
            load["bytes"] = 4 * memory_bytes

    async def bench(ctx):
        await set_regions(ctx, dut)
        for number, load in enumerate(loads):
            await start(ctx, dut, Opcode.LOAD, number, **load)
        await idle(ctx, dut)

    reads = memory(dut, random.Random(1), stall, beat_bytes=memory_bytes)
    simulate(dut, bench, background=[reads, watcher.watch])
    assert watcher.writes == [
        write for number, load in enumerate(loads) for write in expected(config, number, **load)
    ]
    assert watcher.done == [(number, number) for number in range(len(loads))]


@pytest.mark.parametrize("wait", [3, 25, 80])
def test_reset_in_mid_load(wait):
    """Nothing of what was under way is written or completed later; then all runs as if new."""
    dut, reset = LoadUnit(TINY), Signal()
    watcher = Watcher(dut, 0.2)

    async def bench(ctx):
        await set_regions(ctx, dut)
        for number, load in enumerate(LOADS[:4]):
            await start(ctx, dut, Opcode.LOAD, 90 + number, **load)
        await ctx.tick().repeat(wait)
        assert not ctx.get(dut.idle)
        await pulse(ctx, reset)
        watcher.forget()
        assert ctx.get(dut.idle)
        await ctx.tick().repeat(60)
        assert not watcher.writes and not watcher.done
        for number, load in enumerate(LOADS):
            await start(ctx, dut, Opcode.LOAD, number, **load)
        await idle(ctx, dut)

    reads = memory(dut, random.Random(1), 0.2, beat_bytes=TINY.memory_bytes, reset=reset)
    simulate(dut, bench, background=[reads, watcher.watch], reset=reset)
    assert watcher.writes == [
        write for number, load in enumerate(LOADS) for write in expected(TINY, number, **load)
    ]
    assert watcher.done == [(number, number) for number in range(len(LOADS))]


def test_cycles_of_loads_that_follow_each_other():
    """CYCLES and the beats of each, where memory always has a beat."""
    dut = LoadUnit(TINY)
    watcher = Watcher(dut)

    async def flood(ctx):
        count = 0
        ctx.set(dut.reader.command.ready, 1)
        ctx.set(dut.reader.beats.valid, 1)
        while True:
            ctx.set(dut.reader.beats.payload.last, count % 64 == 63)
            *_, ready = await ctx.tick().sample(dut.reader.beats.ready)
            count += ready

    async def bench(ctx):
        await set_regions(ctx, dut)
        for number in range(4):
            await start(
                ctx, dut, Opcode.LOAD, number, target=Target.WEIGHTS, base=0, offset=0, bytes=1024
            )
        await idle(ctx, dut)

    simulate(dut, bench, background=[flood, watcher.watch])
    steps = [after - before for before, after in pairwise(watcher.cycles)]
    assert steps == [1024 // 16 + LoadUnit.CYCLES] * 3


REFUSED = {
    "beyond the limit": ({"target": 0, "base": 0, "offset": 0x7FF0, "bytes": 32}, "ADDRESS"),
    "no such region": ({"target": 0, "base": 3, "offset": 0, "bytes": 16}, "ADDRESS"),
    "no bytes": ({"target": 0, "base": 0, "offset": 0, "bytes": 0}, "ADDRESS"),
    "not aligned": ({"target": 0, "base": 0, "offset": 8, "bytes": 16}, "ADDRESS"),
    "far away": ({"target": 0, "base": 0, "offset": 0xFFFFFFF0, "bytes": 16}, "ADDRESS"),
    "ragged residual": ({"target": 4, "base": 0, "offset": 0, "bytes": 48}, "ADDRESS"),
    "no such target": ({"target": 7, "base": 0, "offset": 0, "bytes": 16}, "OPCODE"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_anything_moves(case):
    operands, code = REFUSED[case]
    dut = LoadUnit(TINY)
    faults = []

    async def bench(ctx):
        await set_regions(ctx, dut)
        await start(ctx, dut, Opcode.LOAD, 77, **operands)
        for _ in range(20):
            assert not ctx.get(dut.reader.command.valid)
            if ctx.get(dut.fault.valid):
                faults.append((ctx.get(dut.fault.code), ctx.get(dut.fault.number)))
            await ctx.tick()
        assert not ctx.get(dut.i.ready)

    simulate(dut, bench)
    assert faults == [(FaultCode[code], 77)]


def test_an_error_response_is_a_fault_with_the_instruction():
    dut = LoadUnit(TINY)
    faults = []

    async def bench(ctx):
        await set_regions(ctx, dut)
        for number in (4, 5):
            await start(
                ctx, dut, Opcode.LOAD, number, target=0, base=0, offset=64 * number, bytes=64
            )
        for _ in range(100):
            if ctx.get(dut.fault.valid):
                faults.append(ctx.get(dut.fault))
            await ctx.tick()

    errors = ((0x1000 + 64 * 5) // 16 + 2,)
    reads = memory(dut, random.Random(1), 0, beat_bytes=16, errors=errors)
    simulate(dut, bench, background=[reads])
    (fault,) = faults
    assert (fault["code"], fault["unit"], fault["number"]) == (FaultCode.READ, Unit.LOAD, 5)
