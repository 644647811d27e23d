"""Places of LOADs: the end of an image leaves alone what the next one loads first."""

from dataclasses import replace

import pytest

from rtl.compiler import lower, plan
from rtl.compiler.operations import Chunk, MemorySpace, Operation, Subject
from rtl.compiler.prefetch import HEAD_PARTS, prefetch
from rtl.compiler.requests import Pending, RowParameters
from rtl.config import TINY
from rtl.isa.instructions import Opcode, Unit
from sim.random_model import random_model

SHAPE = random_model(patch=7, width=32, blocks=((2, 128),) * 3).shape


def loads(space, engine=TINY):
    """Regions of a space that LOADs fill, in the program's order."""
    return [
        span
        for operation in lower(plan(SHAPE, engine)).operations
        if operation.opcode is Opcode.LOAD
        for span in operation.writes
        if span.space is space
    ]


@pytest.mark.parametrize("words", [300, 400, 500, 600, 700])
def test_the_first_weights_of_an_image_do_not_wait_for_the_last_ones_of_the_one_before(words):
    engine = replace(TINY, weight_words=words)
    first, *others = loads(MemorySpace.WEIGHTS, engine)
    assert first.start == 0 and first.stop <= words // HEAD_PARTS
    behind = 0
    for span in reversed(others):
        if span.start < first.stop:
            break
        behind += span.stop - span.start
    assert behind >= words // 2


def test_a_first_block_that_takes_much_of_the_ring_is_not_kept_free():
    engine = replace(TINY, weight_words=100)
    first, *others = loads(MemorySpace.WEIGHTS, engine)
    assert first.stop > 100 // HEAD_PARTS
    assert min(span.start for span in others[-4:]) < first.stop


def test_the_first_loads_wait_for_little():
    """Of the image before, only for what the position tensor overwrites."""
    program = lower(plan(SHAPE, TINY))
    loads = [i for i, op in enumerate(program.operations) if op.opcode is Opcode.LOAD]
    assert not any(program.waits[i] >> Unit.MATMUL & 1 for i in loads[:2])


def test_a_load_goes_ahead_as_soon_as_the_one_before_is_used():
    """The queue has room for two LOADs ahead; the first request is used twice."""
    planned = plan(SHAPE, replace(TINY, queue_depth=4))
    requests = [RowParameters(Chunk("parameters", ((name, 0, 1),), 0, 128), 1) for name in "abcde"]
    names = ["a", "a", "b", "c", "d", "e"]
    compute = [
        Pending(
            Operation(Opcode.MATMUL, {}, (), (), Subject("pool", name, "")),
            (requests["abcde".index(name)],),
        )
        for name in names
    ]
    found = [
        f"load {op.subject.layer}" if op.opcode is Opcode.LOAD else op.subject.tensor
        for op in prefetch(compute, planned)
    ]
    assert found == ["load a", "a", "load b", "load c", "a", "b", "load d", "c", "load e", "d", "e"]
