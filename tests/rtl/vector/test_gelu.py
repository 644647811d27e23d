"""The GELU tables against golden."""

import random

import pytest

from rtl.config import TINY
from rtl.vector.gelu import Gelu
from sim.golden import ops
from tests.rtl.simulation import simulate


@pytest.mark.parametrize("table", [0, 1])
def test_all_codes_of_both_tables(table):
    dut, choose = Gelu(TINY, lanes=4), random.Random(table)
    tables = [[choose.randrange(64) for _ in range(256)] for _ in range(2)]

    async def testbench(ctx):
        ctx.set(dut.write.valid, 1)
        for index in range(256):
            for number in range(2):
                entry = {"table": number, "index": index, "code": tables[number][index]}
                ctx.set(dut.write.beat, entry | {"number": 0})
                await ctx.tick()
        ctx.set(dut.write.valid, 0)
        await ctx.tick()
        ctx.set(dut.table, table)
        codes = [[(n * (lane + 1) + lane) % 256 - 128 for lane in range(4)] for n in range(256)]
        for now in range(256 + dut.LATENCY):
            for lane in range(4):
                ctx.set(dut.i[lane], codes[min(now, 255)][lane])
            if now >= dut.LATENCY:
                expected = ops.gelu(codes[now - dut.LATENCY], tables[table])
                assert [ctx.get(code) for code in dut.o] == expected.tolist()
            await ctx.tick()

    simulate(dut, testbench)
