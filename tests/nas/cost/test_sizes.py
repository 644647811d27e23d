"""Sizes, phases and bytes in arrays against the compiler's, network by network."""

from dataclasses import replace

import numpy as np
import pytest

from nas.cost.cutting import all_cuts
from nas.cost.networks import Networks
from nas.cost.phases import Attention, embedding_of, phases_of
from nas.cost.sizes import Sizes
from nas.cost.subnets import sample_subnets
from rtl.board import load_board
from rtl.compiler import lower, plan
from rtl.compiler.lowering.layout import AttentionLayout
from rtl.config import ENGINES, TINY
from rtl.timing.bound import ArrayLanes, bound_cycles

SAMPLES = {
    name: [sample.shape for sample in sample_subnets(load_board(board), ENGINES[name], 24, seed=5)]
    for name, board in (("tiny", "sim"), ("zcu102", "zcu102"))
}


@pytest.mark.parametrize("engine", [ENGINES[name] for name in SAMPLES], ids=list(SAMPLES))
def test_sizes_are_the_compilers(engine):
    shapes = SAMPLES[engine.name]
    ours = Sizes(Networks.of_shapes(shapes), engine)
    for i, shape in enumerate(shapes):
        theirs = plan(shape, engine)
        for name in ("tiles", "width_tiles", "width_depth", "key_tiles", "value_depth",
                     "class_tiles", "head_rows", "patch_words", "norm_words"):  # fmt: skip
            assert getattr(ours, name)[i] == getattr(theirs, name), name
        for block in range(len(shape.blocks)):
            layout = AttentionLayout(theirs, block)
            assert ours.groups[i, block] == layout.groups
            assert ours.resident[i, block] == (layout.resident_groups == 2)
            assert ours.slots[i, block] == layout.slots
            assert ours.query_tiles[i, block] == len(theirs.query_tiles(block))
            assert ours.inner_depth[i, block] == theirs.inner_depth(block)
            assert ours.hidden_tiles[i, block] == theirs.hidden_tiles(block)


@pytest.mark.parametrize("engine", [ENGINES[name] for name in SAMPLES], ids=list(SAMPLES))
def test_bytes_and_instructions_are_the_programs(engine):
    """Bytes within 1 %; instructions within 10 %: blocks of weights are cut at row tiles."""
    shapes = SAMPLES[engine.name]
    sizes = Sizes(Networks.of_shapes(shapes), engine)
    phases = phases_of(sizes, [each[:] for each in all_cuts(sizes)], Attention(sizes, 80.0), 50.0)
    first = embedding_of(sizes)
    again = (first.groups - 1) * phases.bytes[:, 0]
    loaded = phases.bytes.sum(axis=1) + again + first.bytes
    for i, shape in enumerate(shapes):
        program = lower(plan(shape, engine))
        loads = [operation.operands["bytes"] for operation in program.operations
                 if operation.opcode.name == "LOAD"]  # fmt: skip
        assert loaded[i] == pytest.approx(sum(loads), rel=0.01)
        assert phases.instructions[i].sum() == pytest.approx(len(program.operations), rel=0.1)


def test_the_array_works_for_as_long_as_the_bound_says_where_no_drain_is_slower():
    """Head dimension 64, depths from 144 on, whole words in a row of a patch's pixels."""
    engine = replace(ENGINES["zcu102"], score_words=1 << 12, activation_words=1 << 13)
    lanes = ArrayLanes(engine.token_lanes, engine.row_lanes, engine.depth_lanes)
    shapes = [s for s in SAMPLES["zcu102"] if s.head_dim == 64 and s.width >= 160 and s.patch == 16]
    assert len(shapes) > 3
    sizes = Sizes(Networks.of_shapes(shapes), engine)
    attention = Attention(sizes, 0.0)
    phases = phases_of(sizes, [each[:] for each in all_cuts(sizes)], attention, 0.0)
    blocks = phases.compute[:, 1:-1].reshape(len(shapes), -1, 4)[:, :, 1:].sum(axis=(1, 2))
    items = (attention.projections + attention.items * attention.item) * sizes.exists
    array = phases.compute[:, 0] + blocks + items.sum(axis=1) + phases.compute[:, -1]
    bounds = [bound_cycles(shape, lanes) for shape in shapes]
    assert array == pytest.approx(bounds, rel=0.005)


def test_phases_that_are_not_there_cost_nothing():
    shapes = SAMPLES["tiny"]
    sizes = Sizes(Networks.of_shapes(shapes), TINY)
    phases = phases_of(sizes, [each[:] for each in all_cuts(sizes)], Attention(sizes, 80.0), 50.0)
    assert not phases.exists.all()
    for name in ("compute", "bytes", "tables", "instructions", "matmuls", "other_loads"):
        assert not getattr(phases, name)[~phases.exists].any(), name
        assert np.isfinite(getattr(phases, name)).all()
