"""Credits: they run out and come back."""

import random

from rtl.credits import Credits
from tests.rtl.simulation import simulate


def test_credits_run_out_and_come_back():
    dut = Credits(3)

    async def bench(ctx):
        rng, taken = random.Random(0), 0
        for _ in range(300):
            assert ctx.get(dut.available) == (taken < 3)
            take, give = taken < 3 and rng.random() < 0.6, taken > 0 and rng.random() < 0.5
            ctx.set(dut.take, take)
            ctx.set(dut.give, give)
            taken += take - give
            await ctx.tick()

    simulate(dut, bench)
