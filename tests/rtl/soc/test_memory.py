# amaranth: UnusedElaboratable=no
"""The memory behind AXI4: bursts with stalls, strobes, its latency, its end, the host's port."""

import random

import pytest

from rtl.board import load_board
from rtl.build.synthesis import synthesise
from rtl.lib.emit import emit_rtlil
from rtl.memory.axi import Response
from rtl.soc.blocks import WAIT_CYCLES, WORD_BYTES
from rtl.soc.memory import BANK_WORDS, BlockMemory
from tests.rtl.simulation import simulate

WORDS = 2 * BANK_WORDS
ECP5 = load_board("ulx3s").device


def content(words=WORDS, seed=0):
    rng = random.Random(seed)
    return [rng.getrandbits(8 * WORD_BYTES) for _ in range(words)]


async def read_burst(ctx, bus, beat, beats):
    """Offer an address until it is taken; a beat is as wide as the bus."""
    ctx.set(bus.araddr, len(bus.rdata) // 8 * beat)
    ctx.set(bus.arlen, beats - 1)
    ctx.set(bus.arvalid, 1)
    await ctx.tick().until(bus.arready)
    ctx.set(bus.arvalid, 0)


async def write_burst(ctx, bus, beat, beats, *, choose=None, strobe=(1 << WORD_BYTES) - 1):
    """Write beats; return the response."""
    ctx.set(bus.awaddr, len(bus.rdata) // 8 * beat)
    ctx.set(bus.awlen, len(beats) - 1)
    ctx.set(bus.awvalid, 1)
    await ctx.tick().until(bus.awready)
    ctx.set(bus.awvalid, 0)
    for index, beat in enumerate(beats):
        while choose and choose.random() < 0.4:
            await ctx.tick()
        ctx.set(bus.wdata, beat)
        ctx.set(bus.wstrb, strobe)
        ctx.set(bus.wlast, index == len(beats) - 1)
        ctx.set(bus.wvalid, 1)
        await ctx.tick().until(bus.wready)
        ctx.set(bus.wvalid, 0)
    ctx.set(bus.bready, 1)
    *_, response = await ctx.tick().sample(bus.bresp).until(bus.bvalid)
    ctx.set(bus.bready, 0)
    return response


def beats_of(bus, into, *, refuse=0.0):
    """A process that takes beats: (cycle, word, last, response)."""
    choose = random.Random(1)

    async def take(ctx):
        cycle = 0
        async for *_, valid, ready, word, last, response in ctx.tick().sample(
            bus.rvalid, bus.rready, bus.rdata, bus.rlast, bus.rresp
        ):
            cycle += 1
            if valid and ready:
                into.append((cycle, word, bool(last), response))
            ctx.set(bus.rready, choose.random() >= refuse)

    return take


@pytest.mark.parametrize("refuse", [0, 0.5])
def test_bursts_return_their_words_in_order(refuse):
    words, beats = content(), []
    memory = BlockMemory(WORDS, words)
    rng = random.Random(2)
    bursts = [(16 * rng.randrange(WORDS // 16), rng.randint(1, 16)) for _ in range(20)]

    async def bench(ctx):
        for word, count in bursts:
            await read_burst(ctx, memory.bus, word, count)
        await ctx.tick().repeat(400)

    simulate(memory, bench, processes=[beats_of(memory.bus, beats, refuse=refuse)])
    expected = [
        (words[word + i], i == count - 1, Response.OKAY.value)
        for word, count in bursts
        for i in range(count)
    ]
    assert [beat[1:] for beat in beats] == expected


def test_latency_and_throughput():
    memory, beats, taken = BlockMemory(WORDS, content()), [], []

    async def bench(ctx):
        await ctx.tick().repeat(3)
        for burst in range(4):
            await read_burst(ctx, memory.bus, 16 * burst, 16)
        await ctx.tick().repeat(120)

    async def watch(ctx):
        cycle = 0
        async for *_, valid, ready in ctx.tick().sample(memory.bus.arvalid, memory.bus.arready):
            cycle += 1
            if valid and ready:
                taken.append(cycle)

    simulate(memory, bench, processes=[beats_of(memory.bus, beats), watch])
    assert beats[0][0] - taken[0] == BlockMemory.LATENCY + 1
    assert [cycle for cycle, *_ in beats] == list(range(beats[0][0], beats[0][0] + 64))


def test_writes_by_byte_and_in_bursts():
    words = content()
    memory, beats = BlockMemory(WORDS, words), []
    new, rng = content(16, seed=9), random.Random(3)
    strobe = 0x0FF1
    first = BANK_WORDS - 16  # the last burst of a bank

    async def bench(ctx):
        assert await write_burst(ctx, memory.bus, first, new, choose=rng) == Response.OKAY.value
        await write_burst(ctx, memory.bus, BANK_WORDS, new[:1], strobe=strobe)
        await read_burst(ctx, memory.bus, first, 16)
        await read_burst(ctx, memory.bus, BANK_WORDS, 2)
        await ctx.tick().repeat(30)

    simulate(memory, bench, processes=[beats_of(memory.bus, beats)])
    mask = sum(0xFF << 8 * i for i in range(WORD_BYTES) if strobe >> i & 1)
    mixed = new[0] & mask | words[BANK_WORDS] & ~mask
    assert [word for _, word, *_ in beats] == [*new, mixed, words[BANK_WORDS + 1]]


@pytest.mark.parametrize("width", [8, 4])
def test_a_narrow_bus_moves_parts_of_words(width):
    """Bursts that begin and end within a word, reads and writes by byte."""
    parts = WORD_BYTES // width
    words = b"".join(word.to_bytes(WORD_BYTES, "little") for word in content())
    memory, beats, rng = BlockMemory(WORDS, content(), width), [], random.Random(4)
    expected, reads = bytearray(words), []

    async def bench(ctx):
        for _ in range(30):
            first, count = 16 * rng.randrange(parts * WORDS // 16), rng.randint(1, 16)
            skip = rng.randrange(17 - count)
            if rng.random() < 0.5:
                new, strobe = rng.randbytes(count * width), rng.getrandbits(width)
                values = [
                    int.from_bytes(new[i : i + width], "little") for i in range(0, len(new), width)
                ]
                await write_burst(ctx, memory.bus, first + skip, values, strobe=strobe)
                for index, byte in enumerate(new):
                    if strobe >> index % width & 1:
                        expected[(first + skip) * width + index] = byte
            else:
                await read_burst(ctx, memory.bus, first + skip, count)
                at = (first + skip) * width
                piece = expected[at : at + count * width]
                reads.extend(piece[i : i + width] for i in range(0, len(piece), width))
                await ctx.tick().repeat(40)

    simulate(memory, bench, processes=[beats_of(memory.bus, beats, refuse=0.3)])
    assert [word.to_bytes(width, "little") for _, word, *_ in beats] == reads
    assert len(reads) > 50


def test_a_write_between_reads_that_are_refused_loses_nothing():
    words = content()
    memory, beats = BlockMemory(WORDS, words), []

    async def reader(ctx):
        for burst in range(8):
            await read_burst(ctx, memory.bus, 16 * burst, 5)
        await ctx.tick().repeat(160)

    async def writer(ctx):
        await ctx.tick().repeat(7)
        for burst in range(4):
            await write_burst(ctx, memory.bus, 1024 + 16 * burst, [burst] * 3)

    simulate(memory, reader, writer, processes=[beats_of(memory.bus, beats, refuse=0.7)])
    assert [word for _, word, *_ in beats] == [
        words[16 * b + i] for b in range(8) for i in range(5)
    ]


def test_a_write_whose_data_is_late_delays_no_read():
    words = content()
    memory, beats = BlockMemory(WORDS, words), []

    async def bench(ctx):
        ctx.set(memory.bus.awaddr, 0)
        ctx.set(memory.bus.awvalid, 1)
        await ctx.tick().until(memory.bus.awready)
        ctx.set(memory.bus.awvalid, 0)
        for burst in range(2):
            await read_burst(ctx, memory.bus, 16 * burst, 16)
        await ctx.tick().repeat(120)
        assert len(beats) == 32
        ctx.set(memory.bus.wvalid, 1)
        ctx.set(memory.bus.wlast, 1)
        await ctx.tick().until(memory.bus.bvalid)

    simulate(memory, bench, processes=[beats_of(memory.bus, beats)])
    assert [word for _, word, *_ in beats] == words[:32]


def test_beyond_the_end_is_an_error_and_writes_nothing():
    words = content()
    memory, beats = BlockMemory(WORDS, words), []

    async def bench(ctx):
        assert await write_burst(ctx, memory.bus, WORDS, [1, 2]) == Response.DECERR.value
        assert await write_burst(ctx, memory.bus, 1 << 35, [1, 2]) == Response.DECERR.value
        await read_burst(ctx, memory.bus, WORDS, 2)
        await read_burst(ctx, memory.bus, 0, 2)
        await ctx.tick().repeat(20)

    simulate(memory, bench, processes=[beats_of(memory.bus, beats)])
    responses = [response for *_, response in beats]
    assert responses == [Response.DECERR.value] * 2 + [Response.OKAY.value] * 2
    assert [word for _, word, *_ in beats[2:]] == words[:2]


def test_the_host_s_port_reads_and_writes_while_the_bus_does():
    words = content()
    memory, beats, seen = BlockMemory(WORDS, words), [], []

    async def bench(ctx):
        for burst in range(6):
            await read_burst(ctx, memory.bus, 16 * burst, 16)
        await ctx.tick().repeat(120)

    async def host(ctx):
        for address in (0, 1023, 1024, 2047, 7):
            ctx.set(memory.port.address, address)
            await ctx.tick().repeat(WAIT_CYCLES)
            seen.append(ctx.get(memory.port.read_data))
        ctx.set(memory.port.address, 1500)
        ctx.set(memory.port.write_data, 42)
        ctx.set(memory.port.write_enable, 1)
        await ctx.tick()
        ctx.set(memory.port.write_enable, 0)
        await ctx.tick().repeat(WAIT_CYCLES)
        seen.append(ctx.get(memory.port.read_data))

    simulate(memory, bench, host, processes=[beats_of(memory.bus, beats)])
    assert seen == [words[0], words[1023], words[1024], words[2047], words[7], 42]
    assert [word for _, word, *_ in beats] == words[:96]


def test_an_ecp5_holds_it_in_its_block_rams_and_nothing_else():
    """No logic that keeps what a read and a write of one word give, and no second copy."""
    total = synthesise(emit_rtlil(BlockMemory(WORDS), "memory"), "memory", ECP5).used.total
    blocks = 2 * total.bram36  # of 18 kbit
    assert blocks == WORDS * WORD_BYTES * 8 / (1024 * 16)
    assert total.ff < 700
    assert total.dsp == 0


@pytest.mark.parametrize("words", [0, 1000, -1024])
def test_sizes_that_are_no_whole_banks(words):
    with pytest.raises(ValueError, match=f"words must be a multiple of 1024, not {words}"):
        BlockMemory(words)
