"""The order of operations: what keeps the units busy at the same time."""

from dataclasses import replace
from itertools import accumulate, pairwise

import pytest

from rtl.compiler import lower, plan
from rtl.compiler.requests import Request
from rtl.config import TINY
from rtl.isa.instructions import Opcode
from sim.random_model import random_model

SHAPE = random_model(  # 7 tokens: two token tiles, the class token with two patches
    image=(28, 42, 1), patch=14, width=48, head_dim=32, blocks=((3, 64),) * 2, classes=5
).shape
ENGINES = {
    "two groups of keys": TINY,
    "one group of keys": replace(TINY, key_words=3, value_words=3),
}


def subjects(engine, block):
    """Of computing operations, in the program's order."""
    operations = lower(plan(SHAPE, engine)).operations
    return [op.subject for op in operations if op.subject.block == block]


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


def test_the_last_block_computes_the_class_token_only():
    class_tile = plan(SHAPE, TINY).head_tile
    for subject in subjects(TINY, 1):
        if subject.tensor[-2:] not in (".k", ".v"):
            assert subject.tile == class_tile


def pooling(engine, **changes):
    """Operations of mean pooling, each with the first and the number of its row tiles."""
    shape = replace(SHAPE, mean_pool=True, **changes)
    operations = lower(plan(shape, engine)).operations
    found = [op for op in operations if op.subject.kind == "pool"]
    return [(op, op.subject.row_tile, op.operands["row_tiles"]) for op in found]


def test_with_the_mean_the_last_block_computes_the_patches():
    planned = plan(replace(SHAPE, mean_pool=True), TINY)
    tiles = {}
    for op in lower(planned).operations:
        block, _, tensor = op.subject.tensor.rpartition(".")
        if block == "blocks.1" or tensor == "norm":
            tiles.setdefault(tensor, set()).add(op.subject.tile)
    for tensor in ("norm1", "k", "v"):
        assert tiles.pop(tensor) == set(planned.all_tiles)
    assert [len(tile.tokens) for tile in planned.patch_tiles] == [4, 2]  # 6 of 7 tokens
    assert {"q", "scores", "context", "attended", "norm2", "hidden", "norm"} <= set(tiles)
    assert all(found == set(planned.patch_tiles) for found in tiles.values())


@pytest.mark.parametrize(
    "engine, groups",
    [
        (TINY, [range(3)]),
        (replace(TINY, value_words=2), [range(2), range(2, 3)]),
        (replace(TINY, parameter_words=2), [range(1), range(1, 2), range(2, 3)]),
    ],
    ids=["one group", "values of two row tiles", "parameters of one row tile"],
)
def test_channels_are_pooled_as_many_at_a_time_as_fit(engine, groups):
    """48 channels are three row tiles; 7 tokens one word of values for each."""
    weights, *rest = pooling(engine)
    assert weights[0].subject.tensor == "pool.weights"
    expected = []
    for group in groups:
        expected += [("pool.values", i, 1) for _ in range(2) for i in group]  # two token tiles
        expected.append(("pool", group.start, len(group)))
    assert [(op.subject.tensor, *tiles) for op, *tiles in rest] == expected


def test_row_tiles_of_values_share_one_identity():
    values = [op for op, *_ in pooling(TINY) if op.subject.tensor == "pool.values"]
    assert len({op.operands["weight_address"] for op in values}) == 1
    assert len({op.operands["parameter_address"] for op in values}) == 1
    assert {op.operands["depth_words"] for op in values} == {TINY.granules}


def test_a_norm_follows_the_last_matmul_that_writes_its_input():
    operations = [op for op in lower(plan(SHAPE, TINY)).operations if op.opcode is not Opcode.LOAD]
    for before, after in pairwise(op.subject for op in operations):
        if after.kind == "norm":
            assert before.kind in ("embed", "proj", "fc2")
            assert before.tile.index == after.tile.index


def test_a_request_must_say_where_it_goes():
    with pytest.raises(TypeError, match="abstract"):
        Request()
