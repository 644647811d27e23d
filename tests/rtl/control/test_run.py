# amaranth: UnusedElaboratable=no
"""A run as the host sees it: status, cycles, first fault, watchdog, counters, reset."""

import pytest

from rtl.control.run import (
    PROGRESS_EVENTS,
    Counters,
    FaultRecord,
    RunStatus,
    SoftReset,
    Watchdog,
)
from rtl.isa.faults import FETCH, FaultCode
from rtl.isa.instructions import Unit
from rtl.isa.registers import EVENTS
from tests.rtl.simulation import simulate


async def pulse(ctx, *signals):
    """Hold one-bit inputs at 1 for a cycle."""
    for signal in signals:
        ctx.set(signal, 1)
    await ctx.tick()
    for signal in signals:
        ctx.set(signal, 0)


def test_a_run_counts_its_cycles_and_images():
    dut = RunStatus()

    async def bench(ctx):
        await pulse(ctx, dut.control.start)
        assert ctx.get(dut.start) and not ctx.get(dut.status.busy)
        await ctx.tick()
        assert ctx.get(dut.status.busy) and not ctx.get(dut.start)
        for image, cycles in enumerate((5, 12, 30), 1):
            await ctx.tick().repeat(cycles - ctx.get(dut.cycles) - 1)
            await pulse(ctx, dut.image_done)
            assert ctx.get(dut.images_done) == image
            assert (ctx.get(dut.cycles_first), ctx.get(dut.cycles_last)) == (5, cycles)
        assert not ctx.get(dut.status.done) and not ctx.get(dut.status.irq)
        await pulse(ctx, dut.finished)
        cycles = ctx.get(dut.cycles)
        assert (ctx.get(dut.status.busy), ctx.get(dut.status.done)) == (0, 1)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.cycles) == cycles == 31
        await pulse(ctx, dut.control.start)
        await ctx.tick()
        assert ctx.get(dut.cycles) == ctx.get(dut.images_done) == 0
        assert (ctx.get(dut.status.busy), ctx.get(dut.status.done)) == (1, 0)

    simulate(dut, bench)


@pytest.mark.parametrize("enable, each", [(0b00, False), (0b01, False), (0b10, True), (0b11, True)])
def test_interrupts(enable, each):
    """At the end of the run, and of each image too where the host asks for that."""
    dut = RunStatus()

    async def bench(ctx):
        ctx.set(dut.irq_enable, enable)
        await pulse(ctx, dut.control.start)
        await ctx.tick()
        await pulse(ctx, dut.image_done)
        assert ctx.get(dut.status.irq) == each and not ctx.get(dut.irq)  # a register
        await ctx.tick()
        assert ctx.get(dut.irq) == each
        await pulse(ctx, dut.control.irq_clear)
        await ctx.tick()
        assert not ctx.get(dut.irq)
        await pulse(ctx, dut.finished)
        await ctx.tick()
        assert ctx.get(dut.status.irq) and ctx.get(dut.irq) == bool(enable)

    simulate(dut, bench)


def test_a_start_that_cannot_be_is_ignored():
    dut = RunStatus()

    async def bench(ctx):
        await pulse(ctx, dut.control.start)
        await ctx.tick()
        await pulse(ctx, dut.control.start)
        assert ctx.get(dut.status.ignored) and not ctx.get(dut.start)
        ctx.set(dut.failed, 1)
        await ctx.tick()
        assert ctx.get(dut.status.as_value()) == 0b101110  # irq, ignored, error, done
        await pulse(ctx, dut.control.start)
        assert not ctx.get(dut.start)

    simulate(dut, bench)


@pytest.mark.parametrize("latest", [0, 1])
def test_the_first_fault_is_kept(latest):
    """With the instruction that it names, or with the latest of its unit."""
    dut = FaultRecord()
    first = {"valid": 1, "code": FaultCode.READ, "unit": Unit.NORM, "number": 7, "latest": latest}

    async def bench(ctx):
        for unit in Unit:
            ctx.set(dut.latest[unit], 100 + unit)
        ctx.set(dut.i, first)
        await ctx.tick()
        ctx.set(dut.i, first | {"code": FaultCode.WRITE, "unit": FETCH, "number": 8})
        await ctx.tick().repeat(2)
        fault = ctx.get(dut.o)
        assert (fault.valid, fault.code, fault.unit) == (1, FaultCode.READ, Unit.NORM)
        assert fault.number == (100 + Unit.NORM if latest else 7)

    simulate(dut, bench)


def test_every_event_of_every_unit_is_counted_while_the_engine_runs():
    dut = Counters()
    activities = [(5 * unit + 3) * 41 & ((1 << len(EVENTS)) - 1) for unit in Unit]

    def set_activities(ctx, busy):
        for unit, activity in enumerate(activities):
            ctx.set(dut.activities[unit].as_value(), activity * busy)

    async def bench(ctx):
        ctx.set(dut.running, 1)
        await ctx.tick()
        set_activities(ctx, 1)  # of the cycle before
        await ctx.tick().repeat(5)
        ctx.set(dut.running, 0)
        await ctx.tick()
        assert ctx.get(dut.counts[0][0]) == 6 * (activities[0] & 1)
        await ctx.tick().repeat(3)  # the engine does not run any more
        for unit, activity in enumerate(activities):
            counts = [ctx.get(count) for count in dut.counts[unit]]
            assert counts == [6 * (activity >> event & 1) for event in range(len(EVENTS))]
        await pulse(ctx, dut.start)
        await ctx.tick()
        assert all(ctx.get(count) == 0 for unit in dut.counts for count in unit)

    simulate(dut, bench)


def test_watchdog_names_the_unit_that_waits():
    dut = Watchdog()

    async def bench(ctx):
        ctx.set(dut.cycles, 10)
        ctx.set(dut.running, 1)
        ctx.set(dut.progress, 1)
        await ctx.tick().repeat(20)
        assert not ctx.get(dut.fault.valid)
        ctx.set(dut.progress, 0)
        ctx.set(dut.missing[Unit.SOFTMAX], 0b10)
        ctx.set(dut.heads[Unit.SOFTMAX], 33)
        assert await expires_after(ctx, dut) == 10
        fault = ctx.get(dut.fault)
        assert fault["code"] == FaultCode.WATCHDOG
        assert (fault["unit"], fault["number"]) == (Unit.SOFTMAX, 33)
        assert ctx.get(dut.waits[Unit.SOFTMAX]) == 0b10
        ctx.set(dut.missing[Unit.SOFTMAX], 0)
        assert await expires_after(ctx, dut) is not None
        assert ctx.get(dut.fault.unit) == FETCH

    simulate(dut, bench)


async def expires_after(ctx, dut):
    """Cycles without progress that the watchdog let pass; None if it never expired."""
    for cycle in range(1, 40):
        await ctx.tick()
        if ctx.get(dut.fault.valid):
            return cycle + 1 - Watchdog.LATENCY
    return None


@pytest.mark.parametrize("event", [0, PROGRESS_EVENTS - 1])
@pytest.mark.parametrize("pause, expires", [(9, False), (10, True)])
def test_watchdog_s_limit_is_exact(event, pause, expires):
    """Any event counts, also one that comes in the last cycle before the limit."""
    dut = Watchdog()

    async def bench(ctx):
        ctx.set(dut.cycles, 10)
        ctx.set(dut.running, 1)
        seen = False
        for cycle in range(8 * (pause + 1)):
            ctx.set(dut.progress, (cycle % (pause + 1) == 0) << event)
            await ctx.tick()
            seen |= bool(ctx.get(dut.fault.valid))
        assert seen == expires

    simulate(dut, bench)


def test_watchdog_never_expires_at_limit_0_or_between_runs():
    dut = Watchdog()

    async def bench(ctx):
        ctx.set(dut.running, 1)
        assert await expires_after(ctx, dut) is None
        ctx.set(dut.cycles, 10)
        ctx.set(dut.running, 0)
        assert await expires_after(ctx, dut) is None
        ctx.set(dut.running, 1)
        assert await expires_after(ctx, dut) is not None

    simulate(dut, bench)


def test_soft_reset_lasts_until_memory_is_quiet():
    dut = SoftReset()

    async def bench(ctx):
        ctx.set(dut.request, 1)
        await ctx.tick()
        ctx.set(dut.request, 0)
        for _ in range(2 * SoftReset.CYCLES):
            assert ctx.get(dut.clear)
            await ctx.tick()
        ctx.set(dut.quiet, 1)
        await ctx.tick()
        assert not ctx.get(dut.clear)

    simulate(dut, bench)
