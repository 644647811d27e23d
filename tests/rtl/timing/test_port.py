"""The memory port of the timing model: arithmetic that can be checked by hand."""

import pytest

from rtl.timing.loads import LOAD_ROOM
from rtl.timing.port import (
    BUFFER_CYCLES,
    BURST_BEATS,
    BURST_CYCLES,
    NEVER,
    PROGRAM_ROOM,
    ROOM_CYCLES,
    Extent,
    Memory,
    MemoryTiming,
    ProgramReads,
)


def test_sizes_are_the_rtl_s():
    pytest.importorskip("amaranth")
    from rtl.lib.streams import Queue
    from rtl.memory import axi
    from rtl.memory.bursts import Burster
    from rtl.memory.reader import BeatBuffer, Reader

    assert BURST_BEATS == axi.BURST_BEATS
    assert (BURST_CYCLES, ROOM_CYCLES) == (Burster.LATENCY, Burster.ROOM_LATENCY)
    assert Queue.LATENCY + BUFFER_CYCLES == BeatBuffer.LATENCY
    assert Reader.ROOM == {"program": PROGRAM_ROOM, "load": LOAD_ROOM}


@pytest.mark.parametrize(
    ("address", "size", "lengths"),
    [(0, 16, [1]), (0, 512, [16, 16]), (192, 512, [4, 16, 12]), (40, 196, [13]), (255, 2, [1, 1])],
)
def test_bursts_end_with_a_block_of_memory(address, size, lengths):
    extent, found = Extent(address, size, 16), []
    while extent.left:
        found.append(extent.burst)
        extent.advance()
    assert found == lengths


def test_bursts_follow_each_other_without_a_gap():
    memory = Memory(MemoryTiming(16, 100), 16)
    assert memory.burst(3, 16) == (105, 120)
    assert memory.burst(4, 16) == (121, 136)
    assert memory.burst(300, 1) == (402, 402)


def test_bandwidth_holds_beats_back_but_for_a_few_after_a_pause():
    memory = Memory(MemoryTiming(8, 10), 16)
    first, last = memory.burst(0, 16)
    assert (first, last) == (12, 12 + 15 * 2 - 6)
    first, last = memory.burst(1, 16)
    assert last == 12 + 31 * 2 - 6


def test_an_instruction_takes_its_beats():
    """32 bytes: two beats of 16, one of 32, half a beat of 64. Four cycles in the buffer."""
    for beat_bytes, cycles in ((16, [14, 16, 18]), (32, [13, 14, 15]), (64, [13, 14, 15])):
        memory = Memory(MemoryTiming(1000, 0), beat_bytes)
        program = ProgramReads(0, 3, beat_bytes, requested=2, queue=2)
        assert program.candidate() == 6 and program.decodable() == NEVER
        program.issue(6, memory)
        decoded = []
        for _ in range(3):
            decoded.append(program.decodable())
            program.decode(decoded[-1])
        assert decoded == cycles


def test_the_program_is_read_as_its_buffer_empties():
    memory = Memory(MemoryTiming(16, 10), 16)
    program = ProgramReads(0, 40, 16, requested=2, queue=2)
    for _ in range(PROGRAM_ROOM // BURST_BEATS):
        program.issue(program.candidate(), memory)
    assert program.candidate() == NEVER
    for _ in range(8):  # 16 beats
        program.decode(program.decodable())
    assert program.candidate() == program.taken[15] + 3
