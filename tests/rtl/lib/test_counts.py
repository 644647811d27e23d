# amaranth: UnusedElaboratable=no
"""A count and its flags, and credits: they run out and come back."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.lib.counts import Credits, count_flags
from tests.rtl.simulation import simulate


class Counter(wiring.Component):
    def __init__(self, most):
        self.most = most
        super().__init__(
            {"more": In(1), "fewer": In(1), "count": Out(range(most + 1))}
            | {"not_empty": Out(1), "not_full": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        counted = count_flags(m, self.more, self.fewer, most=self.most, name="counted")
        m.d.comb += [
            self.count.eq(counted.count),
            self.not_empty.eq(counted.not_empty),
            self.not_full.eq(counted.not_full),
        ]
        return m


@pytest.mark.parametrize("most", [1, 2, 3, 8, 255])
def test_flags_against_a_number(most):
    dut, rng = Counter(most), random.Random(most)

    async def bench(ctx):
        count, seen = 0, set()
        for step in range(12 * most + 100):
            assert ctx.get(dut.count) == count
            assert ctx.get(dut.not_empty) == (count > 0) and ctx.get(dut.not_full) == (count < most)
            seen.add(count)
            rises = step // (2 * most) % 2 == 0  # all the way up, and down
            more = count < most and rng.random() < (1.0 if rises else 0.1)
            fewer = count > 0 and rng.random() < (0.1 if rises else 1.0)
            ctx.set(dut.more, more)
            ctx.set(dut.fewer, fewer)
            count += more - fewer
            await ctx.tick()
        assert seen == set(range(most + 1))

    simulate(dut, bench)


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
