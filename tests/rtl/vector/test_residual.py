"""Saturating addition to the residual stream against golden."""

import random

from rtl.vector.residual import ResidualAdder, ResidualLane
from sim.golden import ops
from tests.rtl.simulation import simulate


def test_random_values_and_both_ends():
    dut, choose = ResidualLane(), random.Random(0)

    def value() -> int:
        low, high = -(1 << 15), (1 << 15) - 1
        near_power = choose.choice([-1, 1]) * (1 << choose.randrange(15)) + choose.randint(-1, 1)
        anything, small = choose.randint(low, high), choose.randint(-40, 40)
        return choose.choice([low, high, anything, small, near_power])

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


def test_lanes_side_by_side():
    """Every lane with its own values, one shift and one choice to accumulate for all."""
    dut, choose = ResidualAdder(3), random.Random(1)
    shift, ys, residuals = 2, [5, -6, 30000], [choose.randint(-99, 99) for _ in range(3)]

    async def testbench(ctx):
        for accumulate in (0, 1):
            ctx.set(dut.y, ys)
            ctx.set(dut.shift, shift)
            ctx.set(dut.residual, residuals)
            ctx.set(dut.accumulate, accumulate)
            await ctx.tick().repeat(dut.LATENCY)
            before = residuals if accumulate else [0] * 3
            expected = [int(ops.add_residual(r, y, shift)) for r, y in zip(before, ys, strict=True)]
            assert list(ctx.get(dut.o)) == expected

    simulate(dut, testbench)
