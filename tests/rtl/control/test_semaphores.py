# amaranth: UnusedElaboratable=no
"""Semaphores against a matrix of numbers; the issue of instructions that wait for them."""

import random

from rtl.control.semaphores import Issue, Semaphores
from rtl.isa.faults import FaultCode
from rtl.isa.instructions import UNITS, Opcode, Unit
from tests.rtl.simulation import simulate


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
