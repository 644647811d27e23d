"""Marks keep every hazard, in every order of events that an engine may choose."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtl.compiler import plan
from rtl.compiler.operations import MemorySpace, Operation, Program, Span, Subject
from rtl.compiler.synchronise import (
    FED_BY_DRAIN,
    MOST_CREDITS,
    NEVER,
    check_semaphores,
    needed_operations,
    synchronise,
)
from rtl.config import TINY
from rtl.errors import UserError
from rtl.isa.instructions import Opcode, Unit, credit_operands
from sim.random_model import random_model
from tests.rtl.compiler.interleave import events

OPCODES = [Opcode.LOAD, Opcode.MATMUL, Opcode.NORM, Opcode.SOFTMAX, Opcode.STORE]
NOBODY = Subject("", "", "")
PLAN = plan(random_model(patch=14, width=16, blocks=((1, 16),), classes=3).shape, TINY)


def operation(opcode, operands=None, reads=(), writes=()):
    return Operation(opcode, operands or {}, tuple(reads), tuple(writes), NOBODY)


spans = st.builds(
    lambda space, start, size: Span(space, start, start + size),
    st.sampled_from([MemorySpace.ACTIVATIONS, MemorySpace.RESIDUAL]),
    st.integers(0, 8),
    st.integers(1, 4),
)
programs = st.lists(
    st.builds(
        operation,
        st.sampled_from(OPCODES),
        st.just({}),
        st.lists(spans, max_size=2),
        st.lists(spans, max_size=2),
    ),
    max_size=30,
)


class Dependency(NamedTuple):
    """An operation, of this image or of the one before, that must be complete."""

    operation: int
    previous_image: bool


def dependencies(operations):
    """Per operation, what it needs of each unit."""
    count = len(operations)
    return [
        {
            unit: Dependency(needed % count, needed < count)
            for unit, needed in zip(Unit, needs, strict=True)
            if needed != NEVER
        }
        for _, needs in needed_operations(operations)
    ]


def overlap(a, b):
    return any(x.space == y.space and x.start < y.stop and y.start < x.stop for x in a for y in b)


def conflicts(earlier, later):
    """Whether ``later`` must not start before ``earlier`` is complete."""
    if earlier.unit == later.unit:
        fed = [span for span in later.reads if span.space in FED_BY_DRAIN]
        return later.unit is Unit.MATMUL and overlap(earlier.writes, fed)
    return (
        overlap(earlier.writes, later.reads)
        or overlap(earlier.writes, later.writes)
        or overlap(earlier.reads, later.writes)
    )


def program_of(operations):
    """Synchronised, with BEGIN in front."""
    marks = synchronise(operations)
    operations = [operation(Opcode.BEGIN, credit_operands(marks.credits)), *operations]
    return Program(PLAN, operations, [0, *marks.waits], [0, *marks.signals], [], 0)


@settings(deadline=None, max_examples=200)
@given(programs, st.integers(0, 1000), st.sampled_from([2, 4, 16]), st.integers(1, 4))
def test_no_interleaving_violates_a_hazard(operations, seed, queue_depth, images):
    instructions = list(program_of(operations).instructions())
    everything = operations * images
    done = set()
    for what, image, number in events(
        instructions, queue_depth, np.random.default_rng(seed), images
    ):
        this = image * len(operations) + number - 1  # without BEGIN
        if what == "finish":
            done.add(this)
        else:
            for earlier in range(this):
                if earlier not in done:
                    assert not conflicts(everything[earlier], everything[this]), (earlier, this)
    assert len(done) == len(everything)


@settings(deadline=None)
@given(programs)
def test_nothing_is_waited_for_without_a_conflict(operations):
    for number, needed in enumerate(dependencies(operations)):
        for unit, (earlier, previous_image) in needed.items():
            assert operations[earlier].unit is unit
            assert previous_image or earlier < number
            assert conflicts(operations[earlier], operations[number])


def test_a_dependency_names_its_image():
    word = Span(MemorySpace.ACTIVATIONS, 0, 1)
    operations = [operation(Opcode.LOAD, writes=[word]), operation(Opcode.NORM, reads=[word])]
    assert dependencies(operations) == [
        {Unit.NORM: Dependency(operation=1, previous_image=True)},
        {Unit.LOAD: Dependency(operation=0, previous_image=False)},
    ]


def test_a_feed_needs_the_drain_of_the_image_before():
    codes = Span(MemorySpace.ACTIVATIONS, 0, 4)
    feed = operation(Opcode.MATMUL, reads=[codes])
    drain = operation(Opcode.MATMUL, writes=[codes])
    assert dependencies([feed, drain]) == [{Unit.MATMUL: Dependency(1, previous_image=True)}, {}]


def test_who_read_before_the_latest_writer_is_not_needed():
    word = Span(MemorySpace.ACTIVATIONS, 0, 1)
    reader = operation(Opcode.NORM, reads=[word])
    first, second = (operation(opcode, writes=[word]) for opcode in (Opcode.LOAD, Opcode.SOFTMAX))
    needed = dependencies([reader, first, second])[2]
    assert needed == {Unit.LOAD: Dependency(1, previous_image=False)}


@settings(deadline=None)
@given(programs)
def test_marks_are_balanced(operations):
    """Per image as many waits as signals of each pair; credits for those of the image before."""
    marks = synchronise(operations)
    units = [op.unit for op in operations]
    for producer in Unit:
        for consumer in Unit:
            signals = [
                signal >> consumer & 1
                for unit, signal in zip(units, marks.signals, strict=True)
                if unit is producer
            ]
            waits = [
                wait >> producer & 1
                for unit, wait in zip(units, marks.waits, strict=True)
                if unit is consumer
            ]
            assert sum(signals) == sum(waits) >= marks.credits[producer][consumer]


def test_marks_only_where_the_need_grows():
    word = Span(MemorySpace.ACTIVATIONS, 0, 1)
    load = operation(Opcode.LOAD, writes=[word])
    readers = [operation(Opcode.NORM, reads=[word]) for _ in range(3)]
    waits, signals, credits = synchronise([load, *readers])
    assert signals[0] == 1 << Unit.NORM
    assert waits[1:] == [1 << Unit.LOAD, 0, 0]
    # The next image's LOAD waits for the last reader of this image.
    assert waits[0] == 1 << Unit.NORM
    assert signals[1:] == [0, 0, 1 << Unit.LOAD]
    assert credits[Unit.NORM][Unit.LOAD] == 1 and sum(map(sum, credits)) == 1


def test_what_the_image_before_has_waited_for_is_not_waited_for_again():
    """The first LOAD of an image needs less of the one before than the last LOAD did there."""
    early, late = (Span(MemorySpace.ACTIVATIONS, i, i + 1) for i in range(2))
    first, reader = operation(Opcode.LOAD, writes=[early]), operation(Opcode.NORM, reads=[early])
    other = operation(Opcode.NORM, reads=[late])
    last = operation(Opcode.LOAD, writes=[late])
    waits, _, credits = synchronise([first, reader, other, last])
    assert (waits[0], waits[3]) == (0, 1 << Unit.NORM)
    assert credits[Unit.NORM][Unit.LOAD] == 0


def test_more_waits_for_the_image_before_than_credits_become_earlier_ones():
    count = 40
    words = [Span(MemorySpace.ACTIVATIONS, i, i + 1) for i in range(count)]
    loads = [operation(Opcode.LOAD, writes=[word]) for word in words]
    norms = [operation(Opcode.NORM, reads=[word]) for word in words]
    waits, signals, credits = synchronise([*loads, *norms])
    assert credits[Unit.NORM][Unit.LOAD] == MOST_CREDITS == 31
    waiting = [i for i, wait in enumerate(waits[:count]) if wait]
    signalling = [i for i, signal in enumerate(signals[count:]) if signal]
    assert len(waiting) == len(signalling) == 31
    assert all(wait <= signal for wait, signal in zip(waiting, signalling, strict=True))
    assert waiting[0] == 0 and signalling[-1] == count - 1


def test_a_matmul_waits_for_codes_of_the_drain_but_not_for_its_residual():
    codes, residual = Span(MemorySpace.ACTIVATIONS, 0, 4), Span(MemorySpace.RESIDUAL, 0, 4)
    first = operation(Opcode.MATMUL, writes=[codes, residual])
    second = operation(Opcode.MATMUL, reads=[residual], writes=[residual])
    third = operation(Opcode.MATMUL, reads=[codes])
    waits = synchronise([first, second, third]).waits
    assert waits[1:] == [0, 1 << Unit.MATMUL]
    assert waits[0] == 0  # its drain comes behind all feeds of the image before


def test_too_many_signals_are_refused():
    operations = []
    for i in range(300):
        operations.append(operation(Opcode.LOAD, writes=[Span(MemorySpace.ACTIVATIONS, i, i + 1)]))
    for i in range(300):
        operations.append(operation(Opcode.NORM, reads=[Span(MemorySpace.ACTIVATIONS, i, i + 1)]))
    # 300 of an image, when 16 of the one before still wait in the queue
    with pytest.raises(UserError, match="semaphore load to norm up to 316 times, 61 more than 8"):
        check_semaphores(program_of(operations))
