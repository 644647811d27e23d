"""The order of attention: what keeps array and softmax busy at the same time."""

from dataclasses import replace
from itertools import accumulate

import pytest

from rtl.compiler import plan
from rtl.config import TINY
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
