# amaranth: UnusedElaboratable=no
"""Semaphores, issue, queue, watchdog, soft reset; the register table."""

import random
from pathlib import Path

import pytest
from amaranth.sim import Simulator

from rtl.config import TINY
from rtl.control.completion import InFlight
from rtl.control.run import PROGRESS_EVENTS, SoftReset, Watchdog
from rtl.control.semaphores import Issue, Semaphores
from rtl.isa import registers
from rtl.isa.faults import FETCH, FaultCode
from rtl.isa.instructions import UNITS, Opcode, Unit


def simulate(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_semaphores_against_a_matrix():
    dut = Semaphores()
    rng = random.Random(1)

    async def bench(ctx):
        credits = [[rng.randrange(32) for _ in range(UNITS)] for _ in range(UNITS)]
        counts = [row.copy() for row in credits]
        ctx.set(dut.credits, credits)
        ctx.set(dut.starts, 1)
        await ctx.tick()
        ctx.set(dut.starts, 0)
        ctx.set(dut.credits, [[0] * UNITS] * UNITS)  # of later images: not looked at
        balanced = [True] * Semaphores.BALANCE_CYCLES
        for cycle in range(1000):
            for consumer in range(UNITS):
                seen = ctx.get(dut.available[consumer])
                assert seen == sum((counts[p][consumer] > 0) << p for p in range(UNITS))
            balanced.append(counts == credits)
            if cycle >= Semaphores.BALANCE_CYCLES:
                assert ctx.get(dut.balanced) == balanced[cycle]
            for producer in range(UNITS):
                valid, signal = rng.random() < 0.2, rng.randrange(1 << UNITS)
                ctx.set(dut.completions[producer], {"valid": valid, "signal": signal})
                for consumer in range(UNITS):
                    counts[producer][consumer] += valid and signal >> consumer & 1
            for consumer in range(UNITS):
                taken = ctx.get(dut.available[consumer]) & rng.randrange(1 << UNITS)
                ctx.set(dut.taken[consumer], taken)
                for producer in range(UNITS):
                    counts[producer][consumer] -= taken >> producer & 1
            await ctx.tick()

    simulate(dut, bench)


def test_the_256th_signal_without_a_taker_is_a_fault():
    dut = Semaphores()

    async def bench(ctx):
        for number in range(256):
            completion = {"valid": 1, "signal": 1 << Unit.NORM, "number": number}
            ctx.set(dut.completions[Unit.MATMUL], completion)
            assert not ctx.get(dut.fault.valid)
            await ctx.tick()
        fault = ctx.get(dut.fault)
        assert (fault["valid"], fault["code"]) == (1, FaultCode.SEMAPHORE)
        assert (fault["unit"], fault["number"]) == (Unit.MATMUL, 255)

    simulate(dut, bench)


def test_semaphores_are_balanced_at_their_credits_alone():
    dut = Semaphores()

    async def bench(ctx):
        credits = [[0] * UNITS for _ in range(UNITS)]
        credits[Unit.MATMUL][Unit.LOAD] = 2
        ctx.set(dut.credits, credits)
        ctx.set(dut.starts, 1)
        await ctx.tick()
        ctx.set(dut.starts, 0)
        await ctx.tick().repeat(Semaphores.BALANCE_CYCLES)
        assert ctx.get(dut.balanced)
        ctx.set(dut.taken[Unit.LOAD], 1 << Unit.MATMUL)
        await ctx.tick().repeat(2)
        ctx.set(dut.taken[Unit.LOAD], 0)
        assert not ctx.get(dut.available[Unit.LOAD])
        await ctx.tick().repeat(Semaphores.BALANCE_CYCLES)
        assert not ctx.get(dut.balanced)
        for raised, balanced in ((2, True), (1, False)):
            ctx.set(dut.completions[Unit.MATMUL], {"valid": 1, "signal": 1 << Unit.LOAD})
            await ctx.tick().repeat(raised)
            ctx.set(dut.completions[Unit.MATMUL], {"valid": 0})
            await ctx.tick().repeat(Semaphores.BALANCE_CYCLES)
            assert ctx.get(dut.balanced) == balanced

    simulate(dut, bench)


def test_an_image_is_done_when_its_own_instructions_are():
    """Those of the next one, which are in flight too, do not hold it up."""
    dut = InFlight(TINY)

    async def pulse(ctx, **values):
        for name, value in values.items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick()
        for name in values:
            ctx.set(getattr(dut, name), 0)

    async def done_within(ctx, cycles):
        for cycle in range(cycles):
            if ctx.get(dut.image_done):
                await ctx.tick()
                return cycle
            await ctx.tick()
        return None

    async def bench(ctx):
        load, store = 1 << Unit.LOAD, 1 << Unit.STORE
        for decoded in (load, load, store):
            await pulse(ctx, decoded=decoded)
        await pulse(ctx, completed=load)
        await pulse(ctx, ended=1)
        ctx.set(dut.parity, 1)
        for decoded in (load, store):
            await pulse(ctx, decoded=decoded)
            ctx.set(dut.parity, 1)
        assert await done_within(ctx, 20) is None
        await pulse(ctx, completed=load | store)
        # The LOAD that completes now is the second image's: the first one has none left.
        ctx.set(dut.completed, load)
        assert not ctx.get(dut.image_done)
        await ctx.tick()
        ctx.set(dut.completed, 0)
        assert await done_within(ctx, 20) == InFlight.SETTLE - 2
        assert await done_within(ctx, 20) is None  # its END was not decoded
        ctx.set(dut.ended, 1)
        await ctx.tick()
        ctx.set(dut.ended, 0)
        assert await done_within(ctx, 20) is None
        await pulse(ctx, completed=store)
        ctx.set(dut.halt, 1)  # a fault of the STORE comes before the image is done
        assert await done_within(ctx, 20) is None
        ctx.set(dut.halt, 0)
        assert await done_within(ctx, 20) is not None

    simulate(dut, bench)


def test_issue_waits_takes_and_halts():
    dut = Issue(Opcode.NORM)

    async def bench(ctx):
        ctx.set(dut.i.payload, {"wait": 0b00101, "dispatch": {"signal": 0b10, "number": 9}})
        ctx.set(dut.i.valid, 1)
        for available, missing in ((0, 0b101), (0b100, 0b001)):
            ctx.set(dut.available, available)
            assert ctx.get(dut.missing) == missing
            assert not ctx.get(dut.i.ready) and not ctx.get(dut.taken)
            await ctx.tick()
        ctx.set(dut.available, 0b111)
        ctx.set(dut.halt, 1)
        assert not ctx.get(dut.i.ready)
        ctx.set(dut.halt, 0)
        assert ctx.get(dut.started)
        await ctx.tick()
        assert ctx.get(dut.taken) == 0b101
        assert ctx.get(dut.o.valid) and ctx.get(dut.o.payload.number) == 9
        ctx.set(dut.i.payload, {"wait": 0, "dispatch": {"number": 10}})
        await ctx.tick()
        assert not ctx.get(dut.i.ready)  # the unit has not taken the first one
        assert not ctx.get(dut.taken) and ctx.get(dut.latest) == 0
        ctx.set(dut.o.ready, 1)
        await ctx.tick()
        assert ctx.get(dut.started) and ctx.get(dut.latest) == 9
        await ctx.tick()
        assert ctx.get(dut.o.payload.number) == 10 and ctx.get(dut.latest) == 9

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
        assert await barks_after(ctx, dut) == 10
        fault = ctx.get(dut.fault)
        assert fault["code"] == FaultCode.WATCHDOG
        assert (fault["unit"], fault["number"]) == (Unit.SOFTMAX, 33)
        assert ctx.get(dut.waits[Unit.SOFTMAX]) == 0b10
        ctx.set(dut.missing[Unit.SOFTMAX], 0)
        assert await barks_after(ctx, dut) is not None
        assert ctx.get(dut.fault.unit) == FETCH

    simulate(dut, bench)


async def barks_after(ctx, dut):
    """Cycles without progress that the watchdog let pass; None if it barked at none."""
    for cycle in range(1, 40):
        await ctx.tick()
        if ctx.get(dut.fault.valid):
            return cycle + 1 - Watchdog.LATENCY
    return None


@pytest.mark.parametrize("event", [0, PROGRESS_EVENTS - 1])
@pytest.mark.parametrize("pause, barks", [(9, False), (10, True)])
def test_watchdog_s_limit_is_exact(event, pause, barks):
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
        assert seen == barks

    simulate(dut, bench)


def test_watchdog_never_barks_at_limit_0_or_between_runs():
    dut = Watchdog()

    async def bench(ctx):
        ctx.set(dut.running, 1)
        assert await barks_after(ctx, dut) is None
        ctx.set(dut.cycles, 10)
        ctx.set(dut.running, 0)
        assert await barks_after(ctx, dut) is None
        ctx.set(dut.running, 1)
        assert await barks_after(ctx, dut) is not None

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


def test_registers_do_not_overlap():
    taken = [
        registers.OFFSETS[register.name] + 4 * word
        for register in registers.REGISTERS
        for word in range(register.words)
    ]
    assert taken == list(range(0, 4 * registers.WORDS, 4))
    assert len(registers.OFFSETS) == len(registers.REGISTERS)


def test_registers_reference_is_current():
    page = Path(__file__).parents[3] / "docs" / "registers.md"
    assert page.read_text() == registers.reference(), "run python -m rtl.isa.reference"
