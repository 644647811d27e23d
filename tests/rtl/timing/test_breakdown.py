"""Every cycle of the matmul unit has a reason, and starved units are found."""

from dataclasses import replace

import pytest

from rtl.compiler import lower, plan
from rtl.config import TINY, EngineConfig
from rtl.isa.instructions import Unit
from rtl.model.shape import NetworkShape, plain_vit
from rtl.timing import MemoryTiming
from rtl.timing.bound import least_array_cycles
from rtl.timing.breakdown import END, Breakdown, Wait, breakdown_of
from rtl.timing.simulate import SIMULATED_MEMORY, WAITED_FOR_PROGRAM, Prediction, simulate

DIGITS = plain_vit(
    image=(28, 28, 1), patch=7, width=64, heads=4, head_dim=16, depth=2, classes=10,
    row_granularity=16, bits8=0.25,
)  # fmt: skip


def accounted(
    shape: NetworkShape,
    memory: MemoryTiming = SIMULATED_MEMORY,
    images: int = 1,
    engine: EngineConfig = TINY,
) -> tuple[Breakdown, Prediction]:
    program = lower(plan(shape, engine))
    prediction = simulate(program, memory, images=images)
    return breakdown_of(program, prediction, memory), prediction


@pytest.mark.parametrize("images", [1, 2, 3, 5])
def test_no_cycle_is_lost_or_counted_twice(images):
    """Of the end, which takes what is left, only the drain and the STORE remain."""
    found, prediction = accounted(DIGITS, images=images)
    cycles = prediction.cycles_per_image or prediction.cycles
    idle = sum(found.waits().values())
    busy = sum(found.multiplying.values()) + sum(found.draining.values())
    assert found.cycles == cycles == pytest.approx(busy + idle, abs=1e-6)
    end = found.waiting[END][Wait.STORE]
    assert abs(end) < 20 if images >= 3 else 100 < end < 250


def test_busy_cycles_are_those_of_the_simulation():
    found, prediction = accounted(DIGITS)
    assert found.multiplying.keys() == prediction.by_kind.keys()
    for kind, cycles in prediction.by_kind.items():
        assert found.multiplying[kind] + found.draining[kind] == pytest.approx(cycles)


def test_the_array_multiplies_as_long_as_its_bound_says():
    found, _ = accounted(DIGITS)
    assert sum(found.multiplying.values()) == least_array_cycles(plan(DIGITS, TINY))


def test_short_products_wait_for_the_drain():
    """Scores of 16 dimensions take 2 x 2 words a row tile; 32 tokens leave the drain in 8 beats."""
    few, many = (
        accounted(DIGITS, engine=replace(TINY, token_lanes=tokens))[0].draining["scores"]
        for tokens in (4, 32)
    )
    assert many > few == 0


def largest(found: Breakdown) -> Wait:
    return next(iter(found.waits()))


def test_starved_of_bandwidth_it_waits_for_memory():
    found, prediction = accounted(DIGITS, MemoryTiming(bytes_per_cycle=1.0), images=3)
    assert largest(found) is Wait.MEMORY
    assert found.waits()[Wait.MEMORY] > 0.5 * found.cycles
    assert prediction.bytes == pytest.approx(found.cycles, rel=0.05)  # memory never stands still


def test_a_small_ring_has_no_room():
    """Memory is fast, but a block of weights is loaded only when the one before was used."""
    fast, engine = MemoryTiming(64.0, 20), replace(TINY, memory_bytes=64)
    small, large = (
        accounted(DIGITS, fast, images=3, engine=replace(engine, weight_words=words))[0].waits()
        for words in (64, 1024)
    )
    assert small[Wait.ROOM] > 500 > small[Wait.MEMORY]
    assert Wait.ROOM not in large


def test_many_keys_of_few_dimensions_wait_for_softmax():
    keys = plain_vit(
        image=(64, 64, 1), patch=4, width=32, heads=4, head_dim=8, hidden=32, depth=2, classes=10,
        row_granularity=16,
    )  # fmt: skip
    engine = replace(TINY, key_words=1024, value_words=2048, score_words=1024)
    found, _ = accounted(keys, images=3, engine=engine)
    assert largest(found) is Wait.SOFTMAX
    assert found.waiting["context"].keys() == {Wait.SOFTMAX}


def test_short_queues_make_it_wait_for_the_program():
    """The fetcher stands still while any queue is full; LOADs are decoded too late."""
    short, long = (
        accounted(DIGITS, engine=replace(TINY, queue_depth=depth))[0].waits() for depth in (2, 16)
    )
    assert short[Wait.PROGRAM] > 1000
    assert Wait.PROGRAM not in long


def test_the_first_load_waits_for_the_program():
    program = lower(plan(DIGITS, TINY))
    prediction = simulate(program)
    loads = [i for i, op in enumerate(program.operations) if op.unit is Unit.LOAD]
    assert prediction.causes[loads[0]] == WAITED_FOR_PROGRAM
    assert {prediction.causes[i] for i in loads} > {WAITED_FOR_PROGRAM}
