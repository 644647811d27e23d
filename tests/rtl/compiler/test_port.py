"""The memory port of the timing model: arithmetic that can be checked by hand."""

import pytest

from rtl.compiler.port import (
    BURST_BEATS,
    LOAD_ROOM,
    LOADS_AHEAD,
    NEVER,
    PROGRAM_ROOM,
    Extent,
    Loads,
    Memory,
    MemoryTiming,
    ProgramReads,
)
from rtl.config import TINY
from rtl.control.isa import Target


def weights(size: int, offset: int = 0) -> dict[str, int]:
    return {"target": Target.WEIGHTS, "offset": offset, "bytes": size}


def bursts(loads: Loads, memory: Memory) -> tuple[list[float], list[float]]:
    """Choose all bursts that there are: when each was chosen, when LOADs ended."""
    chosen, ends = [], []
    while (at := loads.candidate()) != NEVER:
        end = loads.issue(at, memory)
        chosen.append(at)
        ends += [] if end is None else [end]
    return chosen, ends


def test_sizes_are_the_rtl_s():
    pytest.importorskip("amaranth")
    from rtl.memory import axi
    from rtl.memory.dma import Reader
    from rtl.memory.load import LoadUnit

    assert BURST_BEATS == axi.BURST_BEATS
    assert Reader.ROOM == {"program": PROGRAM_ROOM, "load": LOAD_ROOM}
    assert LOADS_AHEAD == LoadUnit.AHEAD


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
    """32 bytes: two beats of 16, one of 32, half a beat of 64. Two cycles in the buffer."""
    for beat_bytes, cycles in ((16, [9, 11, 13]), (32, [8, 9, 10]), (64, [8, 9, 10])):
        memory = Memory(MemoryTiming(1000, 0), beat_bytes)
        program = ProgramReads(0, 3, beat_bytes, requested=2, queue=2)
        assert program.candidate() == 3 and program.decodable() == NEVER
        program.issue(3, memory)
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
    assert program.candidate() == program.taken[15] + 1


def test_a_load_of_weights_takes_a_cycle_per_beat_and_one_between():
    loads, memory = Loads(TINY, check=6, gap=1, queue=2), Memory(MemoryTiming(16, 100), 16)
    loads.take(10, weights(512))
    assert loads.ready() == 16  # taken again six cycles later
    loads.take(16, weights(256, 512))
    chosen, ends = bursts(loads, memory)
    assert chosen == [15, 16, 21]
    first = 15 + 2 + 100 + 2
    assert ends == [first + 31, first + 31 + 1 + 16]


def test_a_load_waits_for_room():
    loads, memory = Loads(TINY, check=6, gap=1, queue=2), Memory(MemoryTiming(16, 1000), 16)
    loads.take(0, weights(16 * (LOAD_ROOM + BURST_BEATS)))
    chosen, _ = bursts(loads, memory)
    first = chosen[0] + 2 + 1000 + 2
    assert chosen[-1] == first + BURST_BEATS  # sixteen beats have left the buffer


@pytest.mark.parametrize(
    ("operands", "cycles"),
    [
        ({"target": Target.GELU, "bytes": 256}, 257),  # a code a cycle, one to fill the cutter
        ({"target": Target.PIXELS, "bytes": 196, "segment_bytes": 7}, 29),  # 28 words
        ({"target": Target.RESIDUAL, "bytes": 512}, 33),  # 32 beats, a register
        ({"target": Target.PARAMETERS, "bytes": 512}, 32),
    ],
)
def test_loaders_have_their_own_pace(operands, cycles):
    loads, memory = Loads(TINY, check=6, gap=1, queue=2), Memory(MemoryTiming(16, 100), 16)
    loads.take(0, {"offset": 0} | operands)
    chosen, (end,) = bursts(loads, memory)
    first = chosen[0] + 104
    assert end == first + cycles - 1
    assert loads.loaders.busy > cycles
