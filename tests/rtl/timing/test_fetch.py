"""The fetcher of the timing model: arithmetic that can be checked by hand."""

from dataclasses import replace

import pytest

from rtl.config import TINY
from rtl.isa.instructions import Unit
from rtl.timing import UnitLatencies
from rtl.timing.fetch import FetchTiming
from rtl.timing.port import BURST_BEATS, NEVER, PROGRAM_ROOM, MemoryPort, MemoryTiming

LATENCIES = UnitLatencies(request=2, queue=2, decode=2, again=5)


def fetcher(
    units: list[Unit | None], *, beat_bytes: int = 16, depth: int = 64, images: int = 1
) -> FetchTiming:
    engine = replace(TINY, memory_bytes=beat_bytes, queue_depth=depth)
    return FetchTiming(engine, LATENCIES, 0, units, images)


def queued(fetch: FetchTiming) -> list[float]:
    """When each instruction went into its queue, of those that did."""
    return [at - LATENCIES.queue for at in fetch.available if at != NEVER]


@pytest.mark.parametrize(
    "beat_bytes, cycles", [(16, [16, 18, 20]), (32, [15, 16, 17]), (64, [15, 16, 17])]
)
def test_an_instruction_takes_its_beats(beat_bytes, cycles):
    """32 bytes: two beats of 16, one of 32, half a beat of 64. Four cycles in the buffer."""
    fetch = fetcher([Unit.LOAD] * 3, beat_bytes=beat_bytes)
    process = fetch.process([NEVER])
    assert next(process) == 0 and fetch.reader.candidate() == 6
    fetch.reader.issue(6, MemoryPort(MemoryTiming(1000, 0), beat_bytes))
    assert next(process) == 1 << Unit.LOAD
    assert queued(fetch) == cycles


def test_the_program_is_read_as_its_buffer_empties():
    """Eight instructions, of two beats each, find room in the queue of the unit.

    Four more leave the buffer: into the decoder, the skid buffer, the gearbox.
    """
    fetch = fetcher([Unit.LOAD] * 40, depth=8)
    process, memory = fetch.process([NEVER]), MemoryPort(MemoryTiming(16, 10), 16)
    reader = fetch.reader
    for _ in range(PROGRAM_ROOM // BURST_BEATS):
        reader.issue(reader.candidate(), memory)
    assert reader.candidate() == NEVER
    next(process)
    assert len(queued(fetch)) == 8 and fetch.full == Unit.LOAD
    assert len(reader.taken) == 2 * (8 + 4)
    assert reader.candidate() == reader.taken[15] + 3
    reader.issue(reader.candidate(), memory)
    assert reader.candidate() == NEVER


@pytest.mark.parametrize(
    "beat_bytes, taken, later",
    [
        (16, [10, 11, 12, 13, 14, 15, 16, 17, 18, 19], [52, 53]),
        (32, [10, 11, 12, 13, 14], [52]),
        (64, [10, 12, 14], []),  # of two instructions each: the sixth one holds the third beat
    ],
)
def test_instructions_behind_a_full_queue_leave_the_buffer(beat_bytes, taken, later):
    """One is queued, four are inside; the next one follows a cycle after the third is decoded."""
    fetch = fetcher([Unit.LOAD] * 8, beat_bytes=beat_bytes)
    places = fetch.issued[Unit.LOAD]
    places.clear()
    fetch.reader.buffered += [10.0] * 16
    process = fetch.process([NEVER])
    for place, expected in [(0, taken), (50, taken + later)]:
        places.append(place)
        next(process)
        assert fetch.full == Unit.LOAD and fetch.reader.taken == expected
    assert queued(fetch) == [13 if beat_bytes > 16 else 14, 51]


def test_a_full_queue_holds_the_fetcher_back_until_an_instruction_is_issued():
    fetch = fetcher([Unit.LOAD] * 3 + [Unit.NORM], beat_bytes=32, depth=2)
    process = fetch.process([NEVER])
    fetch.reader.issue(6, MemoryPort(MemoryTiming(1000, 0), 32))
    next(process)
    assert queued(fetch) == [15, 16]
    fetch.issued[Unit.LOAD].append(50)
    assert next(process) == 1 << Unit.LOAD | 1 << Unit.NORM
    assert queued(fetch) == [15, 16, 51, 52]  # a cycle after the other has left it


def test_the_next_image_is_asked_for_once_the_one_before_the_latest_is_done():
    done = [NEVER] * 3
    fetch = fetcher([None, Unit.LOAD, None], beat_bytes=32, images=3)
    process, memory = fetch.process(done), MemoryPort(MemoryTiming(1000, 0), 32)
    for image in range(2):
        assert fetch.asked == image + 1
        fetch.reader.issue(fetch.reader.candidate(), memory)
        next(process)
    assert fetch.asked == 2
    done[0] = 1000
    fetch.ask(done)
    assert fetch.asked == 3
    assert fetch.reader.candidate() == 1000 + LATENCIES.again + 4
