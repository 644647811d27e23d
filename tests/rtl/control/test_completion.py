# amaranth: UnusedElaboratable=no
"""Completion: instructions in order, once every part has ended; images, once all of theirs have."""

import random

import pytest

from rtl.config import TINY
from rtl.control.completion import InFlight, Retire
from rtl.isa.instructions import Unit
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


def test_an_image_is_done_when_its_own_instructions_are():
    """Instructions of the next image, which are in flight too, do not hold it up."""
    dut = InFlight(TINY)

    async def pulse(ctx, **values):
        for name, value in values.items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick()
        for name in values:
            ctx.set(getattr(dut, name), 0)

    async def done_within(ctx, cycles):
        for cycle in range(cycles):
            if ctx.get(dut.image_done):
                await ctx.tick()
                return cycle
            await ctx.tick()
        return None

    async def bench(ctx):
        load, store = 1 << Unit.LOAD, 1 << Unit.STORE
        for decoded in (load, load, store):
            await pulse(ctx, decoded=decoded)
        await pulse(ctx, completed=load)
        await pulse(ctx, ended=1)
        ctx.set(dut.parity, 1)
        for decoded in (load, store):
            await pulse(ctx, decoded=decoded)
            ctx.set(dut.parity, 1)
        assert await done_within(ctx, 20) is None
        await pulse(ctx, completed=load | store)
        # The LOAD that completes now is the second image's: the first one has none left.
        ctx.set(dut.completed, load)
        assert not ctx.get(dut.image_done)
        await ctx.tick()
        ctx.set(dut.completed, 0)
        assert await done_within(ctx, 20) == InFlight.SETTLE - 2
        assert await done_within(ctx, 20) is None  # its END was not decoded
        ctx.set(dut.ended, 1)
        await ctx.tick()
        ctx.set(dut.ended, 0)
        assert await done_within(ctx, 20) is None
        await pulse(ctx, completed=store)
        ctx.set(dut.halt, 1)  # a fault of the STORE comes before the image is done
        assert await done_within(ctx, 20) is None
        ctx.set(dut.halt, 0)
        assert await done_within(ctx, 20) is not None

    simulate(dut, bench)
