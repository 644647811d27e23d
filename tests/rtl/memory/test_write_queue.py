"""The queue between a rigid pipeline and the activation scratchpad."""

import random
from collections import deque

from rtl.config import TINY
from rtl.memory.write_queue import WriteQueue
from tests.rtl.simulation import simulate


def test_words_leave_in_order_and_ends_are_told():
    depth = 4
    dut = WriteQueue(TINY, depth)
    rng = random.Random(1)
    expected, ends = deque(), []

    async def bench(ctx):
        inside, told = 0, (0, 0, 0)
        for number in range(600):
            assert tuple(map(ctx.get, (dut.taken, dut.ended, dut.stall))) == told
            valid, final = inside < depth and rng.random() < 0.7, rng.randrange(2)
            ctx.set(dut.write.valid, valid)
            ctx.set(dut.write.beat, {"word": number, "number": 2 * number})
            ctx.set(dut.final, final)
            ready = rng.random() < 0.6
            ctx.set(dut.o.ready, ready)
            leaves = ctx.get(dut.o.valid)
            was_final = 0
            if leaves and ready:
                word, was_final = expected.popleft()
                assert ctx.get(dut.o.p.word) == word and ctx.get(dut.o.p.number) == 2 * word
                ends.append(was_final)
            told = (leaves and ready, was_final, leaves and not ready)
            if valid:
                expected.append((number, final))
            inside += valid - (leaves and ready)
            await ctx.tick()

    simulate(dut, bench)
    assert len(ends) > 200 and 0 < sum(ends) < len(ends)


def test_latency_of_an_empty_queue():
    dut = WriteQueue(TINY, 4)

    async def bench(ctx):
        ctx.set(dut.write.valid, 1)
        for _ in range(WriteQueue.LATENCY):
            assert not ctx.get(dut.o.valid)
            await ctx.tick()
            ctx.set(dut.write.valid, 0)
        assert ctx.get(dut.o.valid)

    simulate(dut, bench)
