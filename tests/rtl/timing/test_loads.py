"""The load unit of the timing model: arithmetic that can be checked by hand."""

import pytest

from rtl.config import TINY
from rtl.isa.instructions import Target
from rtl.timing.loads import LOAD_ROOM, LOADS_AHEAD, Loads
from rtl.timing.port import BURST_BEATS, NEVER, Memory, MemoryTiming


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


def test_the_queue_of_commands_is_the_rtl_s():
    pytest.importorskip("amaranth")
    from rtl.memory.load.unit import LoadUnit

    assert LOADS_AHEAD == LoadUnit.AHEAD


def test_a_load_of_weights_takes_a_cycle_per_beat_and_one_between():
    loads, memory = Loads(TINY, check=7, gap=1, queue=2), Memory(MemoryTiming(16, 100), 16)
    loads.take(10, weights(512))
    assert loads.ready() == 17  # taken again seven cycles later
    loads.take(17, weights(256, 512))
    chosen, ends = bursts(loads, memory)
    assert chosen == [19, 20, 26]
    first = 19 + 2 + 100 + 4
    assert ends == [first + 31, first + 31 + 1 + 16]


def test_a_load_waits_for_room():
    loads, memory = Loads(TINY, check=7, gap=1, queue=2), Memory(MemoryTiming(16, 1000), 16)
    loads.take(0, weights(16 * (LOAD_ROOM + BURST_BEATS)))
    chosen, _ = bursts(loads, memory)
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
    loads, memory = Loads(TINY, check=7, gap=1, queue=2), Memory(MemoryTiming(16, 100), 16)
    loads.take(0, {"offset": 0} | operands)
    chosen, (end,) = bursts(loads, memory)
    first = chosen[0] + 106
    assert end == first + cycles - 1
    assert loads.loaders.busy > cycles
