"""Mean pooling: as many channels at a time as fit, all by one identity."""

from dataclasses import replace

import pytest

from rtl.compiler import lower, plan
from rtl.config import TINY
from tests.rtl.compiler.lowering.shapes import SHAPE


def pooling(engine, **changes):
    """Operations of mean pooling, each with the first and the number of its row tiles."""
    shape = replace(SHAPE, mean_pool=True, **changes)
    operations = lower(plan(shape, engine)).operations
    found = [op for op in operations if op.subject.kind == "pool"]
    return [(op, op.subject.row_tile, op.operands["row_tiles"]) for op in found]


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
