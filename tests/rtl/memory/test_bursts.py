"""Bursts: all beats of a command once and in order, none across 4 KB, none without room."""

import random

import pytest

from rtl.memory.axi import BOUNDARY_BYTES, BURST_BEATS
from rtl.memory.bursts import Burster, BurstGenerator
from tests.rtl.simulation import simulate


def bursts_of(address, size, beat_bytes):
    """Address, beats and last of each burst of a command, up to the ends of blocks."""
    block = beat_bytes * BURST_BEATS
    beats = range(address // beat_bytes, (address + size - 1) // beat_bytes + 1)
    found = []
    while beats:
        count = min(len(beats), BURST_BEATS - beats.start % BURST_BEATS)
        found.append((beats.start * beat_bytes, count))
        beats = beats[count:]
    assert all(a // block == (a + n * beat_bytes - 1) // block for a, n in found)
    return [(a, n, i == len(found) - 1) for i, (a, n) in enumerate(found)]


def commands_of(seed, beat_bytes):
    rng = random.Random(seed)
    sizes = [1, beat_bytes, beat_bytes * BURST_BEATS, beat_bytes * BURST_BEATS + 1, 4096, 5000]
    return [(rng.randrange(3 * BOUNDARY_BYTES), rng.choice(sizes)) for _ in range(20)]


def run(dut, commands, stall, room=None):
    """Bursts with their cycles, and the cycle in which each command was taken."""
    rng, seen, taken = random.Random(1), [], []

    async def ask(ctx):
        for address, size in commands:
            ctx.set(dut.command.p, {"address": address, "bytes": size})
            ctx.set(dut.command.valid, 1)
            while not ctx.get(dut.command.ready):
                await ctx.tick()
            taken.append(cycle[0])
            await ctx.tick()
        ctx.set(dut.command.valid, 0)

    cycle, held = [0], [0]

    async def take(ctx):
        ended = 0
        while ended < len(commands):
            ctx.set(dut.bursts.ready, rng.random() >= stall)
            if ctx.get(dut.bursts.valid) and ctx.get(dut.bursts.ready):
                burst = ctx.get(dut.bursts.p)
                seen.append((cycle[0], burst.address, burst.beats, bool(burst.last)))
                ended += burst.last
                held[0] += burst.beats
            if room:
                assert held[0] <= room
                leaves = held[0] > 0 and rng.random() < 0.7
                held[0] -= leaves
                ctx.set(dut.taken, leaves)
            await ctx.tick()
            cycle[0] += 1

    simulate(dut, take, background=[ask])
    return seen, taken


@pytest.mark.parametrize("beat_bytes", [8, 16, 64])
@pytest.mark.parametrize("stall", [0, 0.6])
def test_every_beat_of_every_command(beat_bytes, stall):
    commands = commands_of(beat_bytes, beat_bytes)
    seen, _ = run(BurstGenerator(beat_bytes), commands, stall)
    expected = [burst for command in commands for burst in bursts_of(*command, beat_bytes)]
    assert [burst for _, *burst in seen] == [list(burst) for burst in expected]


def test_cycles():
    """The first burst LATENCY cycles after the command, then one per cycle."""
    seen, taken = run(BurstGenerator(16), [(8, 2000)], 0)
    cycles = [cycle for cycle, *_ in seen]
    assert cycles == [taken[0] + BurstGenerator.LATENCY + i for i in range(len(cycles))]
    assert len(cycles) == len(bursts_of(8, 2000, 16)) > 5


@pytest.mark.parametrize("room", [16, 32, 64])
@pytest.mark.parametrize("stall", [0, 0.5])
def test_a_burst_waits_for_room(room, stall):
    """As many beats are under way as the client's buffer holds, never more."""
    commands = commands_of(room, 16)
    seen, _ = run(Burster(16, room), commands, stall, room)
    expected = [burst for command in commands for burst in bursts_of(*command, 16)]
    assert [burst for _, *burst in seen] == [list(burst) for burst in expected]


def test_the_burster_s_latency():
    seen, taken = run(Burster(16, 256), [(0, 1024)], 0)
    assert seen[0][0] == taken[0] + Burster.LATENCY
