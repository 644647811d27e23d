"""The memory port of the timing model: arithmetic that can be checked by hand."""

import pytest

from rtl.timing.loads import LOAD_ROOM
from rtl.timing.port import (
    BUFFER_CYCLES,
    BURST_BEATS,
    BURST_CYCLES,
    PROGRAM_ROOM,
    ROOM_CYCLES,
    WRITES_IN_FLIGHT,
    MemoryPort,
    MemoryTiming,
    ReadExtent,
    beats_of,
)


def test_sizes_are_the_rtl_s():
    pytest.importorskip("amaranth")
    from rtl.lib.streams import Queue
    from rtl.memory import axi
    from rtl.memory.bursts import Burster
    from rtl.memory.reader import BeatBuffer, Reader
    from rtl.memory.writer import Writer

    assert BURST_BEATS == axi.BURST_BEATS
    assert (BURST_CYCLES, ROOM_CYCLES) == (Burster.LATENCY, Burster.ROOM_LATENCY)
    assert Queue.LATENCY + BUFFER_CYCLES == BeatBuffer.LATENCY
    assert WRITES_IN_FLIGHT == Writer.OUTSTANDING
    assert Reader.ROOM == {"program": PROGRAM_ROOM, "load": LOAD_ROOM}


@pytest.mark.parametrize(
    ("address", "size", "lengths"),
    [(0, 16, [1]), (0, 512, [16, 16]), (192, 512, [4, 16, 12]), (40, 196, [13]), (255, 2, [1, 1])],
)
def test_bursts_end_with_a_block_of_memory(address, size, lengths):
    extent, found = ReadExtent(*beats_of(address, size, 16)), []
    while extent.left:
        found.append(extent.burst)
        extent.advance(extent.burst)
    assert found == lengths


def test_bursts_follow_each_other_without_a_gap():
    memory = MemoryPort(MemoryTiming(16, 100), 16)
    assert memory.burst(3, 16) == (105, 120)
    assert memory.burst(4, 16) == (121, 136)
    assert memory.burst(300, 1) == (402, 402)


def test_bandwidth_holds_beats_back_but_for_a_few_after_a_pause():
    memory = MemoryPort(MemoryTiming(8, 10), 16)
    first, last = memory.burst(0, 16)
    assert (first, last) == (12, 12 + 15 * 2 - 6)
    first, last = memory.burst(1, 16)
    assert last == 12 + 31 * 2 - 6


def test_writes_take_the_bandwidth_of_reads():
    """A beat of 16 bytes per cycle at most; of 24, half a beat is left for reads; of 32, one."""
    for bandwidth, lost in ((16, 8), (24, 4), (32, 0)):
        memory = MemoryPort(MemoryTiming(bandwidth, 100), 16)
        assert memory.write(105, 8) == 112
        assert memory.burst(3, 16)[0] == 105 + lost
    slow = MemoryPort(MemoryTiming(16, 100), 16)
    assert slow.write(105, 8, pace=2) == 119  # and every other cycle is a read's
    assert slow.burst(3, 16)[0] == 105 + 8


def test_a_write_goes_before_reads_that_have_not_come():
    memory = MemoryPort(MemoryTiming(16, 100), 16)
    assert memory.wait_of(500) == memory.latency
    memory.burst(3, 16)  # up to cycle 120
    assert memory.wait_of(122) == memory.latency
    assert memory.wait_of(121) == 121


@pytest.mark.parametrize("bandwidth", [16, 8, 4])
def test_steady_beats_are_those_of_bursts_one_by_one(bandwidth):
    """Of ten bursts in a row, once the bandwidth that an idle memory has saved is used up."""
    single, together = (MemoryPort(MemoryTiming(bandwidth, 10), 16) for _ in range(2))
    for memory in (single, together):
        memory.burst(0, BURST_BEATS)
    first = together.steady(1, ready=0)
    assert first is not None
    beats = [single.burst(chosen, BURST_BEATS) for chosen in range(1, 11)]
    assert beats[0][0] == first
    together.burst_steadily(first, 10 * BURST_BEATS, latest=10)
    assert (together.last, together.paid) == (single.last, single.paid)


def test_beats_are_not_steady_while_bandwidth_is_saved_or_somebody_holds_them_back():
    memory = MemoryPort(MemoryTiming(8, 10), 16)
    assert memory.steady(0, ready=0) is None
    memory.burst(0, BURST_BEATS)
    earned = memory.steady(1, ready=0)
    assert earned is not None
    assert memory.steady(1, ready=earned) == earned
    assert memory.steady(1, ready=earned + 1) is None
