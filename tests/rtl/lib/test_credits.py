# amaranth: UnusedElaboratable=no
"""Credits: they run out and come back."""

import random

import pytest

from rtl.lib.credits import Credits
from tests.rtl.simulation import simulate


def test_credits_run_out_and_come_back():
    dut = Credits(3)

    async def bench(ctx):
        rng, taken, before, most = random.Random(0), 0, 0, 0
        for _ in range(300):
            available = ctx.get(dut.available)
            assert available == (before < 2)
            take, give = available and rng.random() < 0.6, taken > 0 and rng.random() < 0.5
            ctx.set(dut.take, take)
            ctx.set(dut.give, give)
            before = taken
            taken += take - give
            most = max(most, taken)
            await ctx.tick()
        assert most == 3

    simulate(dut, bench)


def test_a_single_credit_is_refused():
    with pytest.raises(ValueError, match="count must be at least 2, not 1"):
        Credits(1)
