"""CRC-32 against zlib, by chunks of every size that memory beats may have."""

import random
import zlib

import pytest

from rtl.lib.crc import Crc32
from tests.rtl.simulation import simulate


@pytest.mark.parametrize("size", [4, 8, 16, 32])
@pytest.mark.parametrize("pause", [0.0, 0.6])
def test_it_is_zlib_s(size, pause):
    """Latency, pauses, and a new beginning with chunks still under way."""
    dut, rng = Crc32(8 * size), random.Random(size)

    async def bench(ctx):
        for chunks in (1, 2, 9):
            content = rng.randbytes(size * chunks)
            ctx.set(dut.begin, 1)
            await ctx.tick()
            ctx.set(dut.begin, 0)
            for start in range(0, len(content), size):
                while rng.random() < pause:
                    ctx.set(dut.valid, 0)
                    ctx.set(dut.chunk, rng.getrandbits(8 * size))
                    await ctx.tick()
                ctx.set(dut.valid, 1)
                ctx.set(dut.chunk, int.from_bytes(content[start : start + size], "little"))
                await ctx.tick()
            ctx.set(dut.valid, 0)
            await ctx.tick().repeat(Crc32.LATENCY - 1)
            assert ctx.get(dut.crc) == zlib.crc32(content)
            ctx.set(dut.valid, 1)  # of the old stream, dropped by ``begin``
            await ctx.tick()
            ctx.set(dut.valid, 0)

    simulate(dut, bench)
