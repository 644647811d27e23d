"""Retire: completion in order, once every part has ended."""

import random

import pytest

from rtl.control.completion import Retire
from tests.rtl.simulation import simulate


@pytest.mark.parametrize("parts", [1, 2])
def test_retire_completes_in_order_when_every_part_has_ended(parts):
    dut = Retire(parts)
    done = []

    async def bench(ctx):
        rng = random.Random(parts)
        started, ended = 0, [0] * parts
        for _ in range(600):
            assert ctx.get(dut.idle) == (started == len(done) and not ctx.get(dut.done.valid))
            start = rng.random() < 0.3
            assert ctx.get(dut.i.ready) == (started - len(done) < Retire.DEPTH)
            ctx.set(dut.i.valid, start)
            ctx.set(dut.i.payload, {"signal": started % 32, "number": started})
            ends = [count + 3 < started and rng.random() < 0.4 for count in ended]
            ctx.set(dut.ended, sum(end << part for part, end in enumerate(ends)))
            started += start and ctx.get(dut.i.ready)
            ended = [count + end for count, end in zip(ended, ends, strict=True)]
            await ctx.tick()
            if ctx.get(dut.done.valid):
                assert min(ended) > len(done)
                assert ctx.get(dut.done.signal) == len(done) % 32
                assert ctx.get(dut.done.number) == len(done)
                done.append(ctx.get(dut.done.number))

    simulate(dut, bench)
    assert len(done) > 50
