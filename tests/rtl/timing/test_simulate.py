"""The timing model: bounds that always hold, and what it reacts to."""

from dataclasses import replace

import pytest

from rtl.compiler import lower, plan
from rtl.compiler.operations import Operation, Program, Subject
from rtl.config import TINY, ZCU102
from rtl.isa.instructions import Opcode, Target, Unit
from rtl.model.shape import plain_vit
from rtl.timing import MemoryTiming, UnitLatencies, predict
from rtl.timing.simulate import simulate
from sim.random_model import random_model

DIGITS = random_model(patch=7).shape
DEIT_TINY = plain_vit(width=192, heads=3, row_granularity=32)
FAST = MemoryTiming(bytes_per_cycle=1000.0, latency_cycles=1)
NO_OVERHEAD = UnitLatencies(**dict.fromkeys(UnitLatencies.__dataclass_fields__, 0))


def test_the_array_of_the_zcu102_works_as_long_as_the_bound_says():
    """The bound for DeiT-T: 153.1 k cycles of whole tiles, without what the drain adds."""
    program = lower(plan(DEIT_TINY, ZCU102))
    prediction = simulate(program, FAST, NO_OVERHEAD)
    assert sum(prediction.by_kind.values()) == pytest.approx(153_100, rel=0.005)


def test_no_unit_works_longer_than_the_image_takes():
    prediction = predict(DIGITS, TINY)
    assert max(prediction.busy.values()) < prediction.cycles
    assert prediction.busy[Unit.MATMUL] == sum(prediction.by_kind.values())


def test_constants_come_from_the_rtl():
    pytest.importorskip("amaranth")
    from rtl.timing.latencies import unit_latencies

    large, small = unit_latencies(ZCU102), unit_latencies(TINY)
    assert large.matmul_finish >= small.matmul_finish > 20
    assert large.norm_pair > small.norm_pair > 20  # a deeper adder tree
    assert predict(DIGITS, TINY, latencies=unit_latencies(TINY)).cycles == pytest.approx(
        predict(DIGITS, TINY).cycles, rel=0.05
    )


def test_memory_and_weights_cost_cycles():
    cycles = [
        predict(DIGITS, TINY, MemoryTiming(bandwidth)).cycles for bandwidth in (4.0, 8.0, 16.0)
    ]
    assert cycles == sorted(cycles, reverse=True)
    slow = predict(DIGITS, TINY, MemoryTiming(16.0, latency_cycles=500)).cycles
    assert slow >= cycles[-1] + 400
    narrow = replace(DIGITS, head_bits8=(False,) * len(DIGITS.head_bits8))
    assert predict(narrow, TINY).cycles <= cycles[-1]


def test_images_overlap():
    one, three, six = (predict(DIGITS, TINY, images=images) for images in (1, 3, 6))
    assert one.cycles_per_image is None
    assert one.cycles == pytest.approx(three.cycles, rel=0.01)  # the next image's LOADs in between
    assert max(one.busy.values()) < six.cycles_per_image < 0.97 * one.cycles
    assert three.cycles_per_image == pytest.approx(six.cycles_per_image, rel=0.01)
    assert six.busy[Unit.MATMUL] == pytest.approx(one.busy[Unit.MATMUL], rel=0.01)
    assert six.bytes == one.bytes


@pytest.mark.parametrize("loads", [1, 2])
@pytest.mark.parametrize(("shape", "engine"), [(DIGITS, TINY), (DEIT_TINY, ZCU102)])
def test_no_more_than_two_images_are_in_flight(shape, engine, loads):
    """LOADs that nobody waits for, and a STORE that takes longer than reading the program.

    With two LOADs there is one instruction in the last beat of the ZCU102's, which holds two.
    """
    nothing = ([], [], Subject("", "", ""))
    load = {"target": Target.WEIGHTS, "offset": 0, "bytes": 64}
    store = {"offset": 0, "row_words": 64}
    operations = [
        Operation(Opcode.BEGIN, {}, *nothing),
        *[Operation(Opcode.LOAD, load, *nothing) for _ in range(loads)],
        Operation(Opcode.STORE, store, *nothing),
        Operation(Opcode.END, {}, *nothing),
    ]
    images, count = 5, len(operations)
    none = [0] * count
    program = Program(plan(shape, engine), operations, none, none, [], 0)
    prediction = simulate(program, images=images)
    begins, ends = prediction.starts[1::count], prediction.ends[count - 2 :: count]
    assert begins[1] < ends[0]
    for image in range(2, images):
        assert ends[image - 2] < begins[image] < ends[image - 1]


def test_stores_share_the_bandwidth_in_the_order_of_time():
    """Of images that overlap, one is stored while the next one is loaded: no bandwidth is lost."""
    slow = MemoryTiming(bytes_per_cycle=4.0)
    one, many = predict(DIGITS, TINY, slow), predict(DIGITS, TINY, slow, images=4)
    assert 4 * one.bytes / 4.0 <= many.cycles + 3 * many.cycles_per_image <= 4.1 * one.bytes / 4.0


def test_instructions_keep_their_order_within_a_unit():
    program = lower(plan(DIGITS, TINY))
    images = 3
    prediction = simulate(program, images=images)
    for unit in Unit:
        numbers = [i for i, op in enumerate(program.operations * images) if op.unit is unit]
        starts = [prediction.starts[i] for i in numbers]
        ends = [prediction.ends[i] for i in numbers]
        assert starts == sorted(starts) and ends == sorted(ends)


def test_lowering_needs_no_weights_and_is_deterministic():
    first, second = (lower(plan(DIGITS, TINY)) for _ in range(2))
    assert first.code == second.code
