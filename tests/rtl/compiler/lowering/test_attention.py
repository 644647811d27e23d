"""The order of attention: what keeps array and softmax busy at the same time."""

from dataclasses import replace
from itertools import accumulate

import pytest

from rtl.compiler import lower, plan
from rtl.compiler.operations import MemorySpace
from rtl.config import TINY
from rtl.isa.instructions import Opcode
from rtl.model.keep import with_keep
from tests.rtl.compiler.lowering.shapes import SHAPE, subjects

ENGINES = {
    "two groups of keys": TINY,
    "one group of keys": replace(TINY, key_words=3, value_words=3),
}


@pytest.mark.parametrize("name", ENGINES)
def test_softmax_has_the_time_of_an_item_at_least(name):
    """The context of an item comes behind the scores of the next one, or behind projections."""
    found = subjects(ENGINES[name], 0)
    softmax = [i for i, subject in enumerate(found) if subject.kind == "softmax"]
    assert len(softmax) == 3 * len(plan(SHAPE, TINY).all_tiles)
    for i in softmax:
        context = next(
            j
            for j, other in enumerate(found)
            if (other.kind, other.head, other.tile) == ("context", found[i].head, found[i].tile)
        )
        between = {subject.kind for subject in found[i + 1 : context]}
        last_of_group = i == softmax[-1] or name == "one group of keys"
        assert "scores" in between or last_of_group


@pytest.mark.parametrize("slots", [2, 3, 4])
def test_all_slots_are_in_use(slots):
    kinds = [subject.kind for subject in subjects(replace(TINY, score_slots=slots), 0)]
    under_way = accumulate({"scores": 1, "context": -1}.get(kind, 0) for kind in kinds)
    assert max(under_way) == slots


def test_projections_of_the_next_heads_are_spread_among_the_items():
    kinds = [subject.kind for subject in subjects(TINY, 0)]
    first, last = kinds.index("scores"), len(kinds) - kinds[::-1].index("scores")
    assert "qkv" in kinds[:first] and "qkv" in kinds[first:last]


def selecting():
    operations = lower(plan(with_keep(SHAPE, {0: 3}), replace(TINY, select_tokens=256))).operations
    return [op for op in operations if op.subject.block == 0 and op.opcode is not Opcode.LOAD]


def test_the_class_token_is_first_in_the_last_group():
    """Three heads, a group each: two token tiles, the class token in the second one."""
    found = [
        (op.subject.head, op.subject.tile.index)
        for op in selecting()
        if op.opcode is Opcode.SOFTMAX
    ]
    assert found == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 1), (2, 0)]


def test_softmax_adds_up_the_importance_of_patches_before_select():
    units = [op for op in selecting() if op.opcode in (Opcode.SOFTMAX, Opcode.SELECT)]
    select = next(i for i, op in enumerate(units) if op.opcode is Opcode.SELECT)
    assert units[select].operands == {"patches": 6, "keep": 3, "others": 1, "stride": 3}
    adding = [i for i, op in enumerate(units) if op.operands.get("importance")]
    assert [units[i].operands["importance_first"] for i in adding] == [1, 0, 0]
    assert all(units[i].subject.tile.tokens.stop == 7 for i in adding)  # its last lane
    assert adding[-1] == select - 1
    spaces = [{span.space for span in (*op.reads, *op.writes)} for op in units]
    uses = [i for i, found in enumerate(spaces) if MemorySpace.IMPORTANCE in found]
    assert uses == [*adding, select]
