"""Saturating addition to the residual stream against golden."""

import random

from rtl.vector.residual import ResidualLane
from sim.golden import ops
from tests.rtl.simulation import simulate


def test_random_values_and_both_ends():
    dut, choose = ResidualLane(), random.Random(0)

    def value() -> int:
        near_power = choose.choice([-1, 1]) * (1 << choose.randrange(15)) + choose.randint(-1, 1)
        return choose.choice([-(1 << 15), (1 << 15) - 1, choose.randint(-(1 << 15), (1 << 15) - 1),
                              choose.randint(-40, 40), near_power])  # fmt: skip

    cases = [(value(), choose.randrange(16), value(), choose.randrange(2)) for _ in range(2000)]

    async def testbench(ctx):
        for now in range(len(cases) + dut.LATENCY):
            y, shift, _, _ = cases[min(now, len(cases) - 1)]
            ctx.set(dut.y, y)
            ctx.set(dut.shift, shift)
            later = now - dut.RESIDUAL_LATENCY
            if 0 <= later < len(cases):
                ctx.set(dut.residual, cases[later][2])
                ctx.set(dut.accumulate, cases[later][3])
            if now >= dut.LATENCY:
                y, shift, residual, accumulate = cases[now - dut.LATENCY]
                expected = ops.add_residual(residual if accumulate else 0, y, shift)
                assert ctx.get(dut.o) == expected
            await ctx.tick()

    simulate(dut, testbench)
