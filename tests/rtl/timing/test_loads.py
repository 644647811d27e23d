"""The load unit of the timing model: arithmetic that can be checked by hand."""

import random

import pytest

from rtl.config import TINY
from rtl.isa.instructions import Target
from rtl.timing import UnitLatencies
from rtl.timing.loads import LOAD_ROOM, LOADS_AHEAD, LoadCost, LoadTiming, load_cost
from rtl.timing.port import BURST_BEATS, NEVER, MemoryPort, MemoryTiming

LATENCIES = UnitLatencies(load_check=7, load_gap=1, queue=2, load_done=0)


def cost(operands: dict[str, int]) -> LoadCost:
    return load_cost({"offset": 0} | operands, TINY)


def weights(size: int, offset: int = 0) -> LoadCost:
    return cost({"target": Target.WEIGHTS, "offset": offset, "bytes": size})


def unit(latency: int, bytes_per_cycle: float = 16.0) -> LoadTiming:
    return LoadTiming(TINY, LATENCIES, MemoryPort(MemoryTiming(bytes_per_cycle, latency), 16))


def bursts(loads: LoadTiming) -> tuple[list[float], list[float]]:
    """Choose all bursts that there are, one by one: when each was chosen, when LOADs ended."""
    chosen, ends = [], []
    while (at := loads.candidate) != NEVER:
        _, end = loads.issue(at, limit=at + 1)
        chosen.append(at)
        ends += [] if end is None else [end]
    return chosen, ends


def test_the_queue_of_commands_is_the_rtl_s():
    pytest.importorskip("amaranth")
    from rtl.memory.load.unit import LoadUnit

    assert LOADS_AHEAD == LoadUnit.AHEAD


def test_a_load_of_weights_takes_a_cycle_per_beat_and_one_between():
    loads = unit(latency=100)
    loads.execute(weights(512), 10)
    assert loads.free == 17  # taken again seven cycles later
    loads.execute(weights(256, 512), 17)
    chosen, ends = bursts(loads)
    assert chosen == [19, 20, 26]
    first = 19 + 2 + 100 + 4
    assert ends == [first + 31, first + 31 + 1 + 16]


def test_a_load_waits_for_room():
    loads = unit(latency=1000)
    loads.execute(weights(16 * (LOAD_ROOM + BURST_BEATS)), 0)
    chosen, _ = bursts(loads)
    first = chosen[0] + 2 + 1000 + 4
    assert chosen[-1] == first + BURST_BEATS + 2  # sixteen beats have left the buffer


@pytest.mark.parametrize(
    ("operands", "cycles"),
    [
        ({"target": Target.GELU, "bytes": 256}, 258),  # a code a cycle, two to fill the cutter
        ({"target": Target.PIXELS, "bytes": 196, "segment_bytes": 7}, 30),  # 28 words
        ({"target": Target.RESIDUAL, "bytes": 512}, 34),  # 32 beats, two registers
        ({"target": Target.PARAMETERS, "bytes": 512}, 32),
    ],
)
def test_loaders_have_their_own_pace(operands, cycles):
    loads = unit(latency=100)
    loads.execute(cost(operands), 0)
    chosen, (end,) = bursts(loads)
    first = chosen[0] + 106
    assert end == first + cycles - 1
    assert loads.loaders.busy > cycles


def random_loads(chance: random.Random) -> list[LoadCost]:
    """LOADs of all kinds in any order, with any alignment."""
    kinds = [
        lambda: weights(chance.choice([16, 200, 512, 4096, 9000]), 16 * chance.randrange(40)),
        lambda: weights(16 * chance.randrange(1, 600)),
        lambda: cost({"target": Target.RESIDUAL, "bytes": 512}),
        lambda: cost({"target": Target.GELU, "bytes": 256}),
        lambda: cost({"target": Target.PIXELS, "bytes": 196, "offset": 28, "segment_bytes": 7}),
    ]
    return [chance.choice(kinds)() for _ in range(40)]


def done(loads: LoadTiming, operations: list[LoadCost], step: float) -> list[float]:
    """Run LOADs that come as soon as they can, ``step`` cycles at a time.

    Returns
    -------
    When each is done, and when the latest burst was chosen by then.
    """
    figures, waiting = [], iter(operations)
    operation = next(waiting, None)
    while True:
        while operation is not None and loads.free != NEVER:
            loads.execute(operation, loads.free)
            operation = next(waiting, None)
        at = loads.candidate
        if at == NEVER:
            return figures
        chosen, end = loads.issue(at, limit=at + step)
        assert at <= chosen < at + step
        if end is not None:
            figures += [end, chosen, loads.memory.last, loads.memory.paid]


@pytest.mark.parametrize("latency", [1, 100, 230, 300])
@pytest.mark.parametrize("bytes_per_cycle", [16.0, 8.0, 4.0, 10.66796875])
def test_bursts_at_once_are_bursts_one_by_one(bytes_per_cycle, latency):
    for seed in range(6):
        operations = random_loads(random.Random(seed))
        expected = done(unit(latency, bytes_per_cycle), operations, step=1)
        for step in (40, 333, NEVER):
            assert done(unit(latency, bytes_per_cycle), operations, step) == expected


def test_bursts_whose_room_comes_late_although_that_of_the_last_comes_in_time():
    """Slow loaders fill the buffer; then beats leave it faster than others arrive."""
    table = cost({"target": Target.GELU, "bytes": 256})
    for seed in range(40):
        chance = random.Random(seed)
        operations = []
        for _ in range(8):
            operations += [table] * chance.randrange(1, 7)
            for least, most in ((20, 300), (300, 900)):
                size = 16 * chance.randrange(least, most)
                operations.append(weights(size, 16 * chance.randrange(16)))
        expected = done(unit(700, 4.0), operations, step=1)
        assert done(unit(700, 4.0), operations, step=NEVER) == expected


def test_a_long_load_is_read_in_one_step():
    loads = unit(latency=100)
    loads.execute(weights(16 * 1600, offset=16 * 3), 0)
    chosen, end = loads.issue(loads.candidate, limit=NEVER)
    assert end is not None and chosen < end
    assert len(loads.left) == 1
