# amaranth: UnusedElaboratable=no
"""Load and store units against golden scratchpads, with a memory of random latency and stalls."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from amaranth.hdl import Const, Signal

from rtl.config import TINY
from rtl.isa.faults import FaultCode
from rtl.isa.instructions import IMAGES_IN_FLIGHT, Base, Target, Unit
from rtl.memory.load.unit import LoadUnit
from rtl.memory.store import StoreUnit
from tests.rtl.simulation import simulate

PATIENCE = 5000  # cycles
MEMORY = random.Random(0).randbytes(1 << 16)
REGIONS = [{"base": 0x1000, "limit": 0x9000}, {"base": 0x9003, "limit": 0xF000},
           {"base": 0xF000, "limit": 0x10000}]  # fmt: skip


async def give(ctx, port):
    """Hand over the payload that was set."""
    ctx.set(port.valid, 1)
    for _ in range(PATIENCE):
        *_, ready = await ctx.tick().sample(port.ready)
        if ready:
            break
    else:
        raise AssertionError("not taken")
    ctx.set(port.valid, 0)


async def pulse(ctx, reset):
    ctx.set(reset, 1)
    await ctx.tick()
    ctx.set(reset, 0)


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


async def start(ctx, dut, number, **operands):
    ctx.set(dut.i.payload, {"operands": operands, "signal": number % 32, "number": number})
    await give(ctx, dut.i)


async def idle(ctx, dut):
    for _ in range(PATIENCE):
        await ctx.tick()
        if ctx.get(dut.idle):
            return
    raise AssertionError("the unit hangs")


async def set_regions(ctx, dut):
    for index, region in enumerate(REGIONS):
        for parity in range(IMAGES_IN_FLIGHT):
            ctx.set(dut.regions[parity][index], region)


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
    """What LOAD means, written down a second time."""
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
            await start(ctx, dut, number, **load)
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
            await start(ctx, dut, 90 + number, **load)
        await ctx.tick().repeat(wait)
        assert not ctx.get(dut.idle)
        await pulse(ctx, reset)
        watcher.forget()
        assert ctx.get(dut.idle)
        await ctx.tick().repeat(60)
        assert not watcher.writes and not watcher.done
        for number, load in enumerate(LOADS):
            await start(ctx, dut, number, **load)
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
            await start(ctx, dut, number, target=Target.WEIGHTS, base=0, offset=0, bytes=1024)
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
        await start(ctx, dut, 77, **operands)
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
            await start(ctx, dut, number, target=0, base=0, offset=64 * number, bytes=64)
        for _ in range(100):
            if ctx.get(dut.fault.valid):
                faults.append(ctx.get(dut.fault))
            await ctx.tick()

    errors = ((0x1000 + 64 * 5) // 16 + 2,)
    reads = memory(dut, random.Random(1), 0, beat_bytes=16, errors=errors)
    simulate(dut, bench, background=[reads])
    (fault,) = faults
    assert (fault["code"], fault["unit"], fault["number"]) == (FaultCode.READ, Unit.LOAD, 5)


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
        await start(ctx, self.dut, 12, **self.TOKEN)
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
        await start(ctx, dut, 11, **store.TOKEN)
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
        await start(ctx, dut, 3, base=Base.OUTPUT, offset=offset, row_words=row_words)
        for _ in range(20):
            assert not ctx.get(dut.writer.command.valid)
            if ctx.get(dut.fault.valid):
                faults.append((ctx.get(dut.fault.code), ctx.get(dut.fault.number)))
            await ctx.tick()

    simulate(dut, bench)
    assert faults == [(FaultCode.ADDRESS, 3)]
