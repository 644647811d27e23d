# amaranth: UnusedElaboratable=no
"""Gearbox and Cutter against byte strings, with random stalls."""

import random

import pytest

from rtl.memory.beats import Cutter, Gearbox
from tests.rtl.simulation import simulate


async def send(ctx, port, beats, rng, idle):
    """``beats`` of bytes, the last one marked, with idle cycles at random."""
    for number, beat in enumerate(beats):
        while rng.random() < idle:
            await ctx.tick()
        ctx.set(port.payload.data, int.from_bytes(beat, "little"))
        ctx.set(port.payload.last, number == len(beats) - 1)
        ctx.set(port.valid, 1)
        await ctx.tick().until(port.ready)
        ctx.set(port.valid, 0)


async def receive(ctx, port, count, rng, stall, of):
    """``count`` transfers, each as ``of(payload)``."""
    received = []
    for _ in range(count):
        while rng.random() < stall:
            await ctx.tick()
        ctx.set(port.ready, 1)
        (payload,) = await ctx.tick().sample(port.payload).until(port.valid)
        ctx.set(port.ready, 0)
        received.append(of(payload))
    return received


def split(content, size):
    return [content[i : i + size].ljust(size, b"\0") for i in range(0, len(content), size)]


@pytest.mark.parametrize("idle, stall", [(0, 0), (0.5, 0), (0, 0.5), (0.4, 0.4)])
@pytest.mark.parametrize("beat, word", [(4, 32), (16, 32), (32, 32), (16, 4), (64, 32)])
def test_gearbox(beat, word, idle, stall):
    dut = Gearbox(beat, word)
    content = random.Random(1).randbytes(4 * max(beat, word))
    seen = []

    async def source(ctx):
        await send(ctx, dut.i, split(content, beat), random.Random(2), idle)

    async def sink(ctx):
        seen.extend(
            await receive(
                ctx, dut.o, len(content) // word, random.Random(3), stall,
                lambda p: (p.data.to_bytes(word, "little"), p.last),
            )
        )  # fmt: skip

    simulate(dut, source, sink)
    assert b"".join(data for data, _ in seen) == content
    assert [last for _, last in seen] == [0] * (len(seen) - 1) + [1]


@pytest.mark.parametrize("beat, word, cycles", [(16, 32, 8 * 2 + 1), (32, 16, 16 + 1)])
def test_gearbox_throughput(beat, word, cycles):
    dut = Gearbox(beat, word)
    elapsed = 0

    async def source(ctx):
        await send(ctx, dut.i, [bytes(beat)] * (8 * max(beat, word) // beat), random, 0)

    async def sink(ctx):
        nonlocal elapsed
        ctx.set(dut.o.ready, 1)
        while not (ctx.get(dut.o.valid) and ctx.get(dut.o.payload.last)):
            await ctx.tick()
            elapsed += 1

    simulate(dut, source, sink)
    assert elapsed + 1 == cycles


CUTS = [  # beat, word, first, segment
    (16, 8, 7, 5),
    (16, 8, 0, 21),
    (16, 16, 3, 48),
    (16, 8, 15, 1),
    (4, 4, 1, 3),
    (64, 16, 33, 40),
]


@pytest.mark.parametrize("idle, stall", [(0, 0), (0.5, 0), (0, 0.5), (0.4, 0.4)])
@pytest.mark.parametrize("beat, word, first, segment", CUTS)
def test_cutter(beat, word, first, segment, idle, stall):
    dut = Cutter(beat, word)
    content = random.Random(1).randbytes(9 * segment)
    expected = [
        (piece, len(piece), part is parts[-1], part is parts[-1] and i == 8)
        for i in range(9)
        for row in [content[i * segment : (i + 1) * segment]]
        for parts in [[row[j : j + word] for j in range(0, segment, word)]]
        for part in parts
        for piece in [part]
    ]
    seen = []

    async def source(ctx):
        ctx.set(dut.first, first)
        ctx.set(dut.segment_bytes, segment)
        ctx.set(dut.bytes, len(content))
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await send(ctx, dut.i, split(b"\xee" * first + content, beat), random.Random(2), idle)

    async def sink(ctx):
        await ctx.tick()
        seen.extend(
            await receive(
                ctx, dut.o, len(expected), random.Random(3), stall,
                lambda p: (bytes(p.bytes), p.used, bool(p.last), bool(p.final)),
            )
        )  # fmt: skip

    simulate(dut, source, sink)
    assert seen == [(piece.ljust(word, b"\0"), *others) for piece, *others in expected]


def test_cutter_makes_a_word_per_cycle():
    dut = Cutter(16, 16)
    elapsed = 0

    async def source(ctx):
        ctx.set(dut.first, 5)
        ctx.set(dut.segment_bytes, 48)
        ctx.set(dut.bytes, 10 * 48)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await send(ctx, dut.i, [bytes(16)] * 31, random, 0)

    async def sink(ctx):
        nonlocal elapsed
        await ctx.tick()
        ctx.set(dut.o.ready, 1)
        words = 0
        while words < 30:
            words += ctx.get(dut.o.valid)
            await ctx.tick()
            elapsed += 1

    simulate(dut, source, sink)
    assert elapsed == Cutter.LATENCY + 1 + 30


def test_a_word_wider_than_a_beat_is_refused():
    with pytest.raises(ValueError, match="word_bytes must be at most beat_bytes = 4, not 8"):
        Cutter(4, 8)
