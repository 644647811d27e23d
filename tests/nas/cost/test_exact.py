"""Exact costs: each computed once, kept on disk, whatever happens to the file."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from nas.cost import ExactCosts, HardwareTarget, exact
from nas.cost.exact import REFUSED, CostingTimer, hardware_key, image_cost
from nas.cost.sweep import workers
from nas.digits import DIGITS
from rtl.compiler import lower, plan
from rtl.compiler.image import MemoryMap
from rtl.timing.traffic import work_of

SIM = HardwareTarget.load("sim")


def shapes_of(count, seed=0):
    rng = np.random.default_rng(seed)
    return [DIGITS.shape(DIGITS.sample(rng)) for _ in range(count)]


SHAPES = shapes_of(4)


def with_memory(hardware, capacity_bytes):
    memory = hardware.board.memory.model_copy(update={"capacity_bytes": capacity_bytes})
    return replace(hardware, board=hardware.board.model_copy(update={"memory": memory}))


@pytest.fixture
def computed(monkeypatch):
    """Networks whose cost was computed, in order."""
    seen, compute = [], exact.image_cost

    def noted(hardware, shape):
        seen.append(shape)
        return compute(hardware, shape)

    monkeypatch.setattr(exact, "image_cost", noted)
    return seen


def test_costs_are_those_of_the_program():
    for shape in SHAPES[:2]:
        cost, work = image_cost(SIM, shape), work_of(lower(plan(shape, SIM.engine)))
        assert cost.cycles == SIM.cycles(SIM.compile(shape))
        assert cost.array_cycles == work.array_cycles
        assert cost.memory_bytes == work.bytes
        assert cost.scratchpad_bytes == work.scratchpad_bytes


def test_what_the_engine_refuses_costs_infinitely_much(tmp_path):
    small = replace(SIM, engine=replace(SIM.engine, weight_words=8))
    assert image_cost(small, SHAPES[0]) == REFUSED
    for _ in range(2):  # computed, then read
        assert ExactCosts(folder=tmp_path).of(small, SHAPES[:1]) == [REFUSED]


def test_what_the_memory_does_not_hold_costs_infinitely_much(tmp_path):
    sizes = [MemoryMap.of(SIM.compile(shape)).least_bytes for shape in SHAPES]
    small = with_memory(SIM, sorted(sizes)[1])
    costs = ExactCosts(folder=tmp_path).of(small, SHAPES)
    assert [cost == REFUSED for cost in costs] == [size > sorted(sizes)[1] for size in sizes]
    assert REFUSED not in ExactCosts(folder=tmp_path).of(SIM, SHAPES)


def test_each_network_is_computed_once(tmp_path, computed):
    costs = ExactCosts(folder=tmp_path)
    twice = [*SHAPES, *SHAPES[::-1]]
    found = costs.of(SIM, twice)
    assert found == found[::-1] == [image_cost(SIM, shape) for shape in twice]
    assert costs.computed == len(SHAPES)
    costs.of(SIM, SHAPES)
    again = ExactCosts(folder=tmp_path)  # of another run
    assert again.of(SIM, twice) == found
    assert computed == SHAPES and again.computed == 0


@pytest.mark.parametrize(
    "other",
    [
        replace(SIM, engine=replace(SIM.engine, weight_words=2 * SIM.engine.weight_words)),
        SIM.at(2 * SIM.board.clock_hz),
        with_memory(SIM, 1 << 30),
    ],
    ids=["engine", "memory", "its size"],
)
def test_another_engine_or_memory_has_costs_of_its_own(other, tmp_path, computed):
    for hardware in (SIM, other):
        ExactCosts(folder=tmp_path).of(hardware, SHAPES[:1])
    assert len(computed) == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_another_timing_model_has_costs_of_its_own(monkeypatch):
    before = hardware_key(SIM)
    monkeypatch.setattr(exact, "fingerprint", lambda: "0" * 16)
    assert hardware_key(SIM) != before


def test_a_damaged_entry_is_computed_again_and_leaves_the_others(tmp_path, computed):
    found = ExactCosts(folder=tmp_path).of(SIM, SHAPES)
    (file,) = tmp_path.iterdir()
    lines = file.read_bytes().split(b"\n")
    file.write_bytes(b"\n".join([*lines[:2], lines[2][:9], *lines[3:]]))
    assert ExactCosts(folder=tmp_path).of(SIM, SHAPES) == found
    assert len(computed) == len(SHAPES) + 1


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").touch()
    costs = ExactCosts(folder=tmp_path / "file")
    assert costs.of(SIM, SHAPES[:1]) == costs.of(SIM, SHAPES[:1])
    assert costs.computed == 1


def test_threads_and_processes_find_the_same(tmp_path):
    expected = ExactCosts(folder=tmp_path / "a").of(SIM, SHAPES)
    with ThreadPoolExecutor(2) as executor:
        assert ExactCosts(executor, tmp_path / "b").of(SIM, SHAPES) == expected
    with workers(2) as executor:
        assert ExactCosts(executor, tmp_path / "c").of(SIM, SHAPES) == expected


def test_a_stopwatch_counts_nested_blocks_once(monkeypatch):
    times = iter([1.0, 4.0, 10.0, 11.0])
    monkeypatch.setattr(exact.time, "perf_counter", lambda: next(times))
    watch = CostingTimer()
    with watch, watch:
        pass
    with watch:
        pass
    assert watch.seconds == 4
