"""Addresses and limits of transfers, against plain arithmetic."""

import random

import pytest

from rtl.isa.instructions import IMAGES_IN_FLIGHT, Base
from rtl.memory.regions import RegionCheck
from tests.rtl.simulation import simulate

REGIONS = {
    (parity, base): (0x1000 * (1 + base) + 0x10000 * parity, 0x1000 * (2 + base) + 0x10000 * parity)
    for parity in range(IMAGES_IN_FLIGHT)
    for base in Base
}
END = 1 << 40


async def check(ctx, dut, extent):
    """Place of an extent, and the cycles that it took."""
    ctx.set(dut.i.p, extent)
    ctx.set(dut.i.valid, 1)
    assert ctx.get(dut.i.ready)
    await ctx.tick()
    ctx.set(dut.i.valid, 0)
    cycles = 1
    while not ctx.get(dut.o.valid):
        await ctx.tick()
        cycles += 1
    place = ctx.get(dut.o.p)
    ctx.set(dut.o.ready, 1)
    await ctx.tick()
    ctx.set(dut.o.ready, 0)
    return place.address, place.inside, cycles


async def set_regions(ctx, dut, regions=REGIONS):
    for (parity, base), (first, limit) in regions.items():
        ctx.set(dut.regions[parity][base], {"base": first, "limit": limit})


@pytest.mark.parametrize("parity", range(IMAGES_IN_FLIGHT))
@pytest.mark.parametrize("base", Base)
def test_an_extent_is_inside_up_to_its_region_s_last_byte(parity, base):
    dut, rng = RegionCheck(), random.Random(base)
    first, limit = REGIONS[parity, base]
    extents = [(0, 0x1000), (0, 0x1001), (0xFFF, 1), (0xFFF, 2), (0x1000, 1), (0, 1), (5, 0)]
    extents += [(rng.randrange(0x1100), rng.randrange(0x1100)) for _ in range(50)]

    async def bench(ctx):
        await set_regions(ctx, dut)
        for offset, size in extents:
            extent = {"base": base.value, "offset": offset, "bytes": size, "parity": parity}
            address, inside, cycles = await check(ctx, dut, extent)
            assert cycles == RegionCheck.LATENCY
            assert address == first + offset
            assert inside == (size > 0 and first + offset + size <= limit)

    simulate(dut, bench)


def test_a_region_that_does_not_exist_holds_nothing():
    dut = RegionCheck()

    async def bench(ctx):
        await set_regions(ctx, dut)
        _, inside, _ = await check(ctx, dut, {"base": len(Base), "offset": 0, "bytes": 1})
        assert not inside

    simulate(dut, bench)


def test_an_address_beyond_the_memory_s_end_does_not_wrap():
    dut = RegionCheck()

    async def bench(ctx):
        await set_regions(ctx, dut, {(0, Base.MODEL): (END - 16, END - 1)})
        for offset, size, expected in ((0, 15, 1), (0, 16, 0), (16, 1, 0), (0xFFFFFFF0, 32, 0)):
            extent = {"base": Base.MODEL.value, "offset": offset, "bytes": size}
            _, inside, _ = await check(ctx, dut, extent)
            assert inside == expected

    simulate(dut, bench)
