"""The units of the timing model: arithmetic that can be checked by hand."""

import pytest

from rtl.compiler.operations import Operation, Subject
from rtl.config import TINY, ZCU102, ZCU102_A8, EngineConfig
from rtl.isa.instructions import Activations, Destination, Opcode, Weights
from rtl.timing import MemoryTiming, UnitLatencies
from rtl.timing.port import NEVER, SAVED_BEATS, MemoryPort
from rtl.timing.selection import SelectionTiming
from rtl.timing.units import (
    MatmulTiming,
    NormTiming,
    SoftmaxTiming,
    StoreTiming,
    TimedUnit,
    array_cycles,
    passes,
)

LATENCIES = UnitLatencies()
NO_SELECTION = SelectionTiming(TINY, LATENCIES)
ROWS = {
    "depth_words": 12, "row_tiles": 4, "bits8": 0b0001, "lane_first": 0, "lane_count": 4,
    "weights": Weights.RING, "destination": Destination.ACTIVATIONS,
}  # fmt: skip


def execute(unit: TimedUnit, opcode: Opcode, taken: float, **operands: int) -> float:
    operation = Operation(opcode, operands, [], [], Subject("", "", ""))
    return unit.execute(unit.cost(operation), taken)


def matmul(unit: MatmulTiming, taken: float, **operands: int) -> float:
    return execute(unit, Opcode.MATMUL, taken, **ROWS | operands)


def test_a_matmul_feeds_its_row_tiles_and_drains_the_last():
    """Five passes of 12 words: one row tile has 8-bit weights; two pairs of lanes to drain."""
    unit = MatmulTiming(TINY, LATENCIES, NO_SELECTION)
    end = matmul(unit, 100)
    begin = 100 + LATENCIES.matmul_start - 1
    assert unit.feeds == [(begin, begin + 5 * 12)]
    assert end == begin + 60 + 2 + LATENCIES.matmul_finish
    assert unit.busy == 60 and unit.free == 102


def test_the_next_matmuls_are_fed_without_a_pause():
    """Two are held ready in front of the one that is fed; the fourth is taken when it ends."""
    unit = MatmulTiming(TINY, LATENCIES, NO_SELECTION)
    matmul(unit, 100)
    last = unit.feeds[0][1]
    for place, free in [(1, 104), (2, last), (3, last + 60)]:
        matmul(unit, unit.free)
        assert unit.feeds[place] == (last + 60 * (place - 1), last + 60 * place)
        assert unit.free == free


def test_a_row_tile_takes_as_long_as_its_drain():
    """A word of depth, and two pairs of lanes; the first row tile waits for nothing."""
    unit = MatmulTiming(TINY, LATENCIES, NO_SELECTION)
    matmul(unit, 0, depth_words=1, bits8=0)
    begin, last = unit.feeds[0]
    assert last - begin == 1 + 3 * 2
    matmul(unit, unit.free, depth_words=1, bits8=0)
    assert unit.feeds[1] == (last, last + 2 + 3 * 2)


@pytest.mark.parametrize(
    "operands, engine, expected",
    [
        ({}, TINY, (1, 2)),
        ({"weights": Weights.KEYS}, TINY, (2, 2)),
        ({"weights": Weights.VALUES}, ZCU102, (2, 2)),
        ({"activations": Activations.PIXELS}, TINY, (2, 4)),
    ],
)
def test_passes_of_a_row_tile(operands, engine, expected):
    assert passes(ROWS | operands, engine) == expected


def test_array_cycles_are_depth_words_times_passes():
    assert array_cycles(ROWS, TINY) == 12 * (3 + 2)
    assert array_cycles(ROWS | {"weights": Weights.KEYS}, TINY) == 12 * 8


def test_raw_scores_leave_the_drain_four_lanes_at_a_time():
    unit = MatmulTiming(TINY, LATENCIES, NO_SELECTION)
    scores = {"weights": Weights.KEYS, "destination": Destination.SCORES, "bits8": 0}
    assert matmul(unit, 0, **scores) == unit.feeds[0][1] + 1 + LATENCIES.matmul_finish


def norm(unit: NormTiming, taken: float, pairs: int) -> float:
    lanes = {"lane_first": 0, "lane_count": 2 * pairs}
    return execute(unit, Opcode.NORM, taken, row_words=10, **lanes)


def test_a_pair_of_tokens_is_read_twice():
    """The second reading begins when the first has been through the adders and the square root."""
    unit = NormTiming(TINY, LATENCIES)
    end = norm(unit, 100, pairs=1)
    last = 101 + 10 - 1
    assert end == last + LATENCIES.norm_pair + 10 - 1 + LATENCIES.norm_done
    assert unit.free == last + 1 and unit.busy == 20


def test_second_readings_go_before_first_ones():
    """The third pair's first reading is held back by the second ones of both pairs before."""
    unit = NormTiming(TINY, UnitLatencies(norm_pair=15))
    norm(unit, 100, pairs=3)
    assert 101 + 2 * 10 < 110 + 15 < 101 + 3 * 10  # the first of these begins in its midst
    assert unit.free == 101 + 3 * 10 + 2 * 10


def test_softmax_takes_a_word_per_cycle():
    unit = SoftmaxTiming(TINY, LATENCIES, NO_SELECTION)
    operands = {"lane_first": 0, "lane_count": 4, "key_words": 13}
    assert execute(unit, Opcode.SOFTMAX, 50, **operands) == 50 + 52 + LATENCIES.softmax_done
    assert unit.free == 50 + 52 + 1 and unit.busy == 52


def stored(unit: StoreTiming, **operands: int) -> tuple[list[float], float]:
    """When each burst begins, and when all of them are answered; taken in cycle 10."""
    assert execute(unit, Opcode.STORE, 10, **{"offset": 0} | operands) == NEVER == unit.free
    begins = []
    while True:
        begins.append(unit.candidate() + unit.memory.latency)
        if (end := unit.send()) is not None:
            assert unit.candidate() == NEVER and unit.free == end
            return begins, end


FIRST = 10 + LATENCIES.store_check + LATENCIES.store_word


def store_unit(engine: EngineConfig, latency: int = 100, bandwidth: float = 64) -> StoreTiming:
    memory = MemoryTiming(bandwidth, latency)
    return StoreTiming(engine, LATENCIES, memory, MemoryPort(memory, engine.memory_bytes))


def test_a_store_waits_for_the_answer_of_its_last_burst():
    unit = store_unit(TINY)
    begins, end = stored(unit, row_words=1)
    assert begins == [FIRST]
    assert end == FIRST + 3 + LATENCIES.store_answer + 100  # 4 beats
    assert unit.bytes == 64


def test_bursts_of_a_store_follow_each_other():
    """14 words of 2 beats, the first burst up to a multiple of 16 beats."""
    unit = store_unit(TINY)
    begins, end = stored(unit, row_words=2, more_words=12, int16=1, offset=160)
    assert begins == [FIRST, FIRST + 6, FIRST + 22]
    assert end == FIRST + 27 + LATENCIES.store_answer + 100
    assert unit.bytes == 28 * 16


def test_too_many_bursts_wait_for_an_answer():
    begins, end = stored(store_unit(TINY, 1000), row_words=4, more_words=64)
    assert begins[:16] == [FIRST + 16 * i for i in range(16)]
    answer = FIRST + 15 + LATENCIES.store_answer + 1000  # of the first one
    assert end == answer + 1 + 15 + LATENCIES.store_answer + 1000


@pytest.mark.parametrize("words, last", [(1, 0), (2, 1), (3, 2), (4, 3)])
def test_a_beat_of_two_words_takes_two_cycles(words, last):
    """But one that is alone in the last beat only one."""
    unit = store_unit(ZCU102_A8)
    _, end = stored(unit, row_words=1, more_words=words - 1, int16=1)
    assert end == FIRST + last + LATENCIES.store_answer + 100


def test_a_store_takes_the_memory_s_bandwidth():
    _, end = stored(store_unit(TINY, bandwidth=8), row_words=4)
    assert end == FIRST + 2 * (15 - SAVED_BEATS) + LATENCIES.store_answer + 100
