"""Scratchpads: random writes against arrays, latency, arbitration, faults, tap.

One test for all of them (activations, attention, loaded, residual): they have one base, and the
same is asked of each.
"""

import random
from dataclasses import replace

import pytest
from amaranth.hdl import Fragment

from rtl.config import SCRATCHPADS, TINY
from rtl.isa.faults import FaultCode
from rtl.isa.instructions import Unit
from rtl.memory.ports import READ_LATENCY
from rtl.memory.scratchpads.activations import ActivationMemory
from rtl.memory.scratchpads.attention import KeyMemory, ScoreMemory, ValueMemory
from rtl.memory.scratchpads.loaded import ExponentMemory, ParameterMemory, PixelMemory, WeightMemory
from rtl.memory.scratchpads.residual import ResidualMemory
from tests.rtl.simulation import simulate

SMALL = replace(
    TINY,
    name="small",
    row_lanes=8,
    depth_lanes=4,
    activation_words=6,
    pixel_words=5,
    key_words=4,
    value_words=7,
    score_words=6,
    residual_words=6,
    weight_words=5,
    parameter_words=4,
    exponent_words=3,
)
ULTRA = replace(SMALL, name="ultra", uram=SCRATCHPADS)
BOTH = pytest.mark.parametrize("config", [SMALL, ULTRA], ids=["block RAM", "UltraRAM"])


def bits(rng, shape):
    return rng.getrandbits(shape.size)


async def read(ctx, port, request, enable=None):
    ctx.set(port.request, request)
    ctx.set(port.enable, 1)
    await ctx.tick()
    ctx.set(port.enable, 0)
    await ctx.tick().repeat(READ_LATENCY - 1)
    return ctx.get(port.data.as_value())


async def write(ctx, port, fields):
    ctx.set(port.beat, fields)
    ctx.set(port.valid, 1)
    await ctx.tick()
    ctx.set(port.valid, 0)


@BOTH
def test_activations_by_granule(config):
    dut = ActivationMemory(config)
    granule_bits = config.depth_lanes * config.act_bits
    rng = random.Random(1)
    model = {}  # (lane, granule address): bits

    async def bench(ctx):
        for _ in range(200):
            word = rng.randrange(config.activation_words)
            pair = rng.randrange(config.token_lanes // 2)
            enable, mask = rng.randrange(4), rng.randrange(1 << config.granules)
            codes = [[rng.randrange(64) for _ in range(config.row_lanes)] for _ in range(2)]
            beat = {"pair": pair, "enable": enable, "word": word, "mask": mask, "codes": codes}
            await write(ctx, dut.drain, beat)
            for lane in range(2):
                for g in range(config.granules):
                    if enable >> lane & 1 and mask >> g & 1:
                        part = codes[lane][g * config.depth_lanes : (g + 1) * config.depth_lanes]
                        value = sum(c << (i * config.act_bits) for i, c in enumerate(part))
                        model[2 * pair + lane, word * config.granules + g] = value
            await ctx.tick()
            address = rng.randrange(config.activation_words * config.granules)
            data = await read(ctx, dut.read, address)
            for lane in range(config.token_lanes):
                seen = data >> (lane * granule_bits) & ((1 << granule_bits) - 1)
                assert seen == model.get((lane, address), 0)

    simulate(dut, bench)


def test_activation_writers_by_importance():
    dut = ActivationMemory(SMALL, tap=True)
    landed = []

    async def bench(ctx):
        for pairs in [(0, 0, 0), (0, 1, 1), (0, 1, 0), (1, 1, 0), (None, 0, 0), (None, 0, 1)]:
            ctx.set(dut.drain.valid, pairs[0] is not None)
            ctx.set(dut.drain.beat.pair, pairs[0] or 0)
            for port, pair in ((dut.softmax, pairs[1]), (dut.norm, pairs[2])):
                ctx.set(port.valid, 1)
                ctx.set(port.payload.pair, pair)
            softmax = pairs[0] != pairs[1]
            assert ctx.get(dut.softmax.ready) == softmax
            assert ctx.get(dut.norm.ready) == (pairs[2] not in (pairs[0], pairs[1]))
            await ctx.tick()
            seen = [ctx.get(getattr(dut.tap, name).valid) for name in ("drain", "softmax", "norm")]
            landed.append(seen)
            assert seen == [pairs[0] is not None, softmax, pairs[2] not in (pairs[0], pairs[1])]

    simulate(dut, bench)
    assert len(landed) == 6


PAIRED = {
    "keys": (KeyMemory, SMALL.row_lanes, SMALL.key_words, SMALL.granules),
    "values": (ValueMemory, SMALL.depth_lanes, SMALL.value_words, 1),
}


@BOTH
@pytest.mark.parametrize("kind", PAIRED)
def test_keys_and_values(kind, config):
    component, keys, depth, granules = PAIRED[kind]
    dut = component(config)
    part_bits = 8 * SMALL.row_lanes // granules
    rng = random.Random(2)
    model = {}

    async def bench(ctx):
        for _ in range(200):
            word, pair, enable = rng.randrange(depth), rng.randrange(keys // 2), rng.randrange(4)
            codes = [[rng.randrange(-128, 128) for _ in range(SMALL.row_lanes)] for _ in range(2)]
            await write(
                ctx, dut.write, {"pair": pair, "enable": enable, "word": word, "codes": codes}
            )
            for i in range(2):
                if enable >> i & 1:
                    raw = sum((c & 255) << (8 * n) for n, c in enumerate(codes[i]))
                    model[2 * pair + i, word] = raw
            await ctx.tick()
            address = rng.randrange(depth * granules)
            data = await read(ctx, dut.read, address)
            for key in range(keys):
                seen = data >> (key * part_bits) & ((1 << part_bits) - 1)
                whole = model.get((key, address // granules), 0)
                shift = address % granules * part_bits
                assert seen == whole >> shift & ((1 << part_bits) - 1)

    simulate(dut, bench)


@BOTH
def test_pixels(config):
    dut = PixelMemory(config)
    rng = random.Random(3)
    model = {}

    async def bench(ctx):
        for _ in range(100):
            lane, word = rng.randrange(SMALL.token_lanes), rng.randrange(SMALL.pixel_words)
            content = [rng.randrange(256) for _ in range(SMALL.depth_lanes)]
            await write(ctx, dut.write, {"lane": lane, "word": word, "bytes": content})
            model[lane, word] = content
            await ctx.tick()
            data = await read(ctx, dut.read, word)
            expected = [
                model.get((lane, word), [0] * SMALL.depth_lanes)
                for lane in range(SMALL.token_lanes)
            ]
            assert data == int.from_bytes(b"".join(map(bytes, expected)), "little")

    simulate(dut, bench)


@BOTH
def test_scores_read_one_lane(config):
    dut = ScoreMemory(config)
    rng = random.Random(4)
    lane_bits = 22 * SMALL.row_lanes
    model = {}

    async def bench(ctx):
        for _ in range(100):
            word, enable = rng.randrange(SMALL.score_words), rng.randrange(16)
            raw = [rng.getrandbits(lane_bits) for _ in range(4)]
            ctx.set(dut.write.beat.enable, enable)
            ctx.set(dut.write.beat.word, word)
            ctx.set(
                dut.write.beat.scores.as_value(),
                sum(r << (i * lane_bits) for i, r in enumerate(raw)),
            )
            ctx.set(dut.write.valid, 1)
            await ctx.tick()
            ctx.set(dut.write.valid, 0)
            model.update({(i, word): r for i, r in enumerate(raw) if enable >> i & 1})
            await ctx.tick()
            bank = rng.randrange(4)
            assert await read(ctx, dut.read, {"bank": bank, "word": word}) == model.get(
                (bank, word), 0
            )

    simulate(dut, bench)


PARTS = {
    "weights": (WeightMemory, SMALL.weight_words, 4 * 8 * 4),
    "parameters": (ParameterMemory, SMALL.parameter_words, 64 * 8),
    "exponents": (ExponentMemory, SMALL.exponent_words, 2 * 8),
}


@BOTH
@pytest.mark.parametrize("memory_bytes", [4, 8, 16])
@pytest.mark.parametrize("kind", PARTS)
def test_words_written_by_memory_beats(kind, memory_bytes, config):
    component, depth, word_bits = PARTS[kind]
    dut = component(replace(config, memory_bytes=memory_bytes))
    beat_bits = 8 * memory_bytes
    parts = max(1, word_bits // beat_bits)
    used = (1 << word_bits) - 1
    if kind == "parameters":  # padding reads as zero where it is not stored
        record = (1 << 50) - 1 if memory_bytes >= 8 else (1 << 64) - 1
        used = sum(record << (64 * i) for i in range(8))
    rng = random.Random(5)
    model = {}

    async def bench(ctx):
        for _ in range(100):
            word, part = rng.randrange(depth), rng.randrange(parts)
            beat = rng.getrandbits(beat_bits)
            await write(ctx, dut.write, {"word": word, "part": part, "beat": beat})
            model[word, part] = beat
            await ctx.tick()
            expected = sum(model.get((word, p), 0) << (p * beat_bits) for p in range(parts))
            assert await read(ctx, dut.read, word) == expected & used

    simulate(dut, bench)


@BOTH
def test_residual_reads_take_turns_by_half(config):
    dut = ResidualMemory(config)
    readers = (dut.drain_read, dut.norm_read, dut.store_read)
    rng = random.Random(6)
    pair_bits = 2 * 16 * SMALL.row_lanes
    content = {
        (half, word): rng.getrandbits(pair_bits)
        for half in range(2)
        for word in range(SMALL.residual_words)
    }
    taken = [[], [], []]

    async def bench(ctx):
        for (half, word), raw in content.items():
            ctx.set(dut.drain.beat, {"half": half, "enable": 3, "word": word})
            ctx.set(dut.drain.beat["values"].as_value(), raw)
            ctx.set(dut.drain.valid, 1)
            await ctx.tick()
        ctx.set(dut.drain.valid, 0)
        await ctx.tick().repeat(2)
        history = []
        for _ in range(300):
            granted, halves = [], set()
            for reader in readers:
                valid, half = rng.random() < 0.6, rng.randrange(2)
                word = rng.randrange(SMALL.residual_words)
                ctx.set(reader.request.valid, valid)
                ctx.set(reader.request.payload, {"half": half, "word": word})
                granted.append((half, word) if valid and half not in halves else None)
                if valid:
                    halves.add(half)
            for i, reader in enumerate(readers):
                if granted[i] or not ctx.get(reader.request.valid):
                    continue
                assert not ctx.get(reader.request.ready)
            assert ctx.get(readers[0].request.ready)
            history.append(granted)
            if len(history) > READ_LATENCY:
                for i, request in enumerate(history[-1 - READ_LATENCY]):
                    if request:
                        assert ctx.get(readers[i].data.as_value()) == content[request]
                        taken[i].append(request)
            await ctx.tick()

    simulate(dut, bench)
    assert all(len(requests) > 30 for requests in taken)


def test_residual_load_waits_for_drain():
    dut = ResidualMemory(SMALL, tap=True)

    async def bench(ctx):
        ctx.set(dut.load.valid, 1)
        ctx.set(dut.load.payload, {"half": 1, "enable": 2, "word": 3, "number": 7})
        for half, ready in ((1, 0), (0, 1)):
            ctx.set(dut.drain.beat.half, half)
            ctx.set(dut.drain.valid, 1)
            assert ctx.get(dut.load.ready) == ready
            await ctx.tick()
            assert ctx.get(dut.tap.load.valid) == ready
            assert ctx.get(dut.tap.drain.valid) == 1
        assert ctx.get(dut.tap.load.beat.number) == 7

    simulate(dut, bench)


def test_write_beyond_the_depth_is_a_fault_and_does_not_land():
    dut = PixelMemory(SMALL, tap=True)

    async def bench(ctx):
        await write(ctx, dut.write, {"word": SMALL.pixel_words, "number": 99})
        assert not ctx.get(dut.tap.load.valid)
        await ctx.tick()
        fault = ctx.get(dut.fault)
        assert (fault["valid"], fault["code"]) == (1, FaultCode.ADDRESS)
        assert (fault["unit"], fault["number"], fault["latest"]) == (Unit.LOAD, 99, 0)
        await ctx.tick()
        assert not ctx.get(dut.fault.valid)

    simulate(dut, bench)


def test_read_beyond_the_depth_is_a_fault():
    dut = KeyMemory(SMALL)

    async def bench(ctx):
        for address, valid in ((SMALL.key_words * SMALL.granules - 1, 0),
                               (SMALL.key_words * SMALL.granules, 1)):  # fmt: skip
            await read(ctx, dut.read, address)
            assert ctx.get(dut.fault.valid) == valid
        assert ctx.get(dut.fault.unit) == Unit.MATMUL
        assert ctx.get(dut.fault.latest)

    simulate(dut, bench)


def test_no_tap_without_asking():
    dut = PixelMemory(SMALL)
    Fragment.get(dut, None)
    assert not hasattr(dut, "tap")
