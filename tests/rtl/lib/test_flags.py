"""A count, and that there is any and room, known as soon as the count is."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.lib.flags import tally
from tests.rtl.simulation import simulate


class Counter(wiring.Component):
    def __init__(self, most):
        self.most = most
        super().__init__(
            {"more": In(1), "fewer": In(1), "count": Out(range(most + 1))}
            | {"some": Out(1), "room": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        counted = tally(m, self.more, self.fewer, most=self.most, name="counted")
        m.d.comb += [
            self.count.eq(counted.count),
            self.some.eq(counted.some),
            self.room.eq(counted.room),
        ]
        return m


@pytest.mark.parametrize("most", [1, 2, 3, 8, 255])
def test_tally_against_a_number(most):
    dut, rng = Counter(most), random.Random(most)

    async def bench(ctx):
        count, seen = 0, set()
        for step in range(12 * most + 100):
            assert ctx.get(dut.count) == count
            assert ctx.get(dut.some) == (count > 0) and ctx.get(dut.room) == (count < most)
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
