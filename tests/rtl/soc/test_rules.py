# amaranth: UnusedElaboratable=no
"""The bit period: asked for, the first one again, and the first one after a second of nothing."""

import pytest

from boards.host.frames import first_period
from rtl.soc import rules
from rtl.soc.rules import BitPeriod
from tests.rtl.simulation import simulate

CLOCK_HZ = 10_000_000
SECOND = 1_000  # cycles, in place of ten million


@pytest.fixture(autouse=True)
def short_second(monkeypatch):
    monkeypatch.setattr(rules, "FALLBACK_S", SECOND / CLOCK_HZ)


async def pulse(ctx, signal):
    ctx.set(signal, 1)
    await ctx.tick()
    ctx.set(signal, 0)


async def change(ctx, unit, value):
    ctx.set(unit.value, value)
    await pulse(ctx, unit.change)
    return ctx.get(unit.period)


def test_it_changes_at_once_and_zero_is_the_first():
    unit = BitPeriod(CLOCK_HZ)

    async def bench(ctx):
        assert ctx.get(unit.period) == first_period(CLOCK_HZ) == 87
        assert await change(ctx, unit, 4) == 4
        assert await change(ctx, unit, 0xFFFF) == 0xFFFF
        assert await change(ctx, unit, 0) == 87

    simulate(unit, bench)


@pytest.mark.parametrize("heard_at", [None, 2, 400, SECOND - 3])
def test_a_second_without_a_good_request_returns_it(heard_at):
    unit = BitPeriod(CLOCK_HZ)

    async def bench(ctx):
        await pulse(ctx, unit.heard)
        await change(ctx, unit, 25)
        if heard_at is not None:
            await ctx.tick().repeat(heard_at - 1)
            await pulse(ctx, unit.heard)
            await ctx.tick()
        await ctx.tick().repeat(SECOND - 2)
        assert ctx.get(unit.period) == 25
        await ctx.tick()
        assert ctx.get(unit.period) == first_period(CLOCK_HZ)

    simulate(unit, bench)
