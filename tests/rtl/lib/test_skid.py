"""A skid buffer: every transfer once, in order, one per cycle; ready and valid from registers."""

import random

import pytest
from amaranth.hdl import Signal, unsigned

from rtl.lib.skid import Skid
from tests.rtl.simulation import simulate

TRANSFERS = 300


def run(idle, stall, reset_at=None):
    """Transfers that came out with their cycles, after those of a reset if there was one."""
    dut, reset = Skid(unsigned(16)), Signal()
    rng = random.Random(3)
    seen = []

    async def bench(ctx):
        number, offered = 0, False
        for cycle in range(4 * TRANSFERS):
            if cycle == reset_at:
                ctx.set(reset, 1)
                ctx.set(dut.i.valid, 0)
                await ctx.tick()
                ctx.set(reset, 0)
                assert ctx.get(dut.i.ready) and not ctx.get(dut.o.valid)
                number, offered = 0, False
                seen.clear()
            ready, valid = ctx.get(dut.i.ready), ctx.get(dut.o.valid)
            offered = number < TRANSFERS and (offered or rng.random() >= idle)
            ctx.set(dut.i.valid, offered)
            ctx.set(dut.i.p, number)
            ctx.set(dut.o.ready, rng.random() >= stall)
            assert (ctx.get(dut.i.ready), ctx.get(dut.o.valid)) == (ready, valid)  # registers
            if valid and ctx.get(dut.o.ready):
                seen.append((cycle, ctx.get(dut.o.p)))
            if offered and ready:
                number, offered = number + 1, False
            await ctx.tick()

    simulate(dut, bench, reset=reset)
    return seen


@pytest.mark.parametrize("idle, stall", [(0, 0), (0.5, 0), (0, 0.5), (0.4, 0.4)])
@pytest.mark.parametrize("reset_at", [None, 7, 50])
def test_every_transfer_once_and_in_order(idle, stall, reset_at):
    assert [number for _, number in run(idle, stall, reset_at)] == list(range(TRANSFERS))


def test_one_transfer_per_cycle():
    assert run(0, 0) == [(Skid.LATENCY + n, n) for n in range(TRANSFERS)]
