"""Marks keep every hazard, in every order of events that an engine may choose."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtl.compiler.operations import Operation, Region, Space, Subject
from rtl.compiler.synchronise import FED_BY_DRAIN, check_semaphores, dependencies, synchronise
from rtl.control.isa import Opcode, Unit
from rtl.errors import UserError
from tests.rtl.compiler.interleave import events

OPCODES = [Opcode.LOAD, Opcode.MATMUL, Opcode.NORM, Opcode.SOFTMAX, Opcode.STORE]
NOBODY = Subject("", "", "")


def operation(opcode, reads=(), writes=()):
    return Operation(opcode, {}, list(reads), list(writes), NOBODY)


regions = st.builds(
    lambda space, start, size: Region(space, start, start + size),
    st.sampled_from([Space.ACTIVATIONS, Space.RESIDUAL]),
    st.integers(0, 8),
    st.integers(1, 4),
)
programs = st.lists(
    st.builds(
        operation,
        st.sampled_from(OPCODES),
        st.lists(regions, max_size=2),
        st.lists(regions, max_size=2),
    ),
    max_size=30,
)


def overlap(a, b):
    return any(x.space == y.space and x.start < y.stop and y.start < x.stop for x in a for y in b)


def conflicts(earlier, later):
    """Whether ``later`` must not start before ``earlier`` is complete."""
    if earlier.unit == later.unit:
        fed = [region for region in later.reads if region.space in FED_BY_DRAIN]
        return later.unit is Unit.MATMUL and overlap(earlier.writes, fed)
    return (
        overlap(earlier.writes, later.reads)
        or overlap(earlier.writes, later.writes)
        or overlap(earlier.reads, later.writes)
    )


@settings(deadline=None, max_examples=200)
@given(programs, st.integers(0, 1000), st.sampled_from([2, 4, 16]))
def test_no_interleaving_violates_a_hazard(operations, seed, queue_depth):
    synchronise(operations)
    done = set()
    for what, number in events(
        [op.instruction() for op in operations], queue_depth, np.random.default_rng(seed)
    ):
        if what == "finish":
            done.add(number)
        else:
            for earlier in range(number):
                if conflicts(operations[earlier], operations[number]):
                    assert earlier in done, (earlier, number)
    assert len(done) == len(operations)


@settings(deadline=None)
@given(programs)
def test_nothing_is_waited_for_without_a_conflict(operations):
    for number, needed in enumerate(dependencies(operations)):
        for unit in Unit:
            if needed[unit] >= 0:
                assert operations[needed[unit]].unit is unit
                assert conflicts(operations[needed[unit]], operations[number])


def test_marks_only_where_the_need_grows():
    word = Region(Space.ACTIVATIONS, 0, 1)
    load = operation(Opcode.LOAD, writes=[word])
    readers = [operation(Opcode.NORM, reads=[word]) for _ in range(3)]
    synchronise([load, *readers])
    assert load.signal == 1 << Unit.NORM
    assert [reader.wait for reader in readers] == [1 << Unit.LOAD, 0, 0]


def test_a_matmul_waits_for_codes_of_the_drain_but_not_for_its_residual():
    codes, residual = Region(Space.ACTIVATIONS, 0, 4), Region(Space.RESIDUAL, 0, 4)
    first = operation(Opcode.MATMUL, writes=[codes, residual])
    second = operation(Opcode.MATMUL, reads=[residual], writes=[residual])
    third = operation(Opcode.MATMUL, reads=[codes])
    synchronise([first, second, third])
    assert [second.wait, third.wait] == [0, 1 << Unit.MATMUL]


def test_too_many_signals_are_refused():
    operations = []
    for i in range(300):
        operations.append(operation(Opcode.LOAD, writes=[Region(Space.ACTIVATIONS, i, i + 1)]))
    for i in range(300):
        operations.append(operation(Opcode.NORM, reads=[Region(Space.ACTIVATIONS, i, i + 1)]))
    synchronise(operations)
    with pytest.raises(UserError, match="semaphore load to norm up to 300 times, 45 more than 8"):
        check_semaphores(operations, 16)
