"""What an engine's sizes say of its parts, against Yosys where parts are small."""

from dataclasses import replace

import pytest

from rtl.board import load_board
from rtl.config import (
    KV260,
    KV260_BRAM,
    TINY,
    ULX3S,
    ZCU102,
    ZCU102_SELECT,
    ZCU104,
    EngineConfig,
)
from rtl.control.unit import NAMES
from rtl.engine import MEMORIES, SELECTING_MEMORIES
from rtl.matmul.array import MultiplierArray
from rtl.resources import structure
from rtl.resources.memories import (
    banks,
    block_memories,
    block_memory,
    memory_features,
    queues,
    ultra_rams,
)
from rtl.resources.structure import LANE_DSPS, dsps
from rtl.vector.layernorm import NormUnit
from rtl.vector.selection import TokenSelection
from tests.rtl import sizes
from tests.rtl.resources.synthesised import DEVICES, synthesised

SMALL = {
    "xilinx": sizes.SMALL,
    "ecp5": replace(sizes.SMALL, multiplier="mult18x18"),
}


@pytest.mark.parametrize(
    "engine, family, dsp, bram36",
    [
        (ZCU102, "xilinx", 2475, 647.5),
        (ZCU102_SELECT, "xilinx", 2479, 648),
        (TINY, "xilinx", 219, 160),
        (KV260, "xilinx", 1115, 110),
        (ULX3S, "ecp5", 105, 37),
    ],
)
def test_engines_that_were_built(engine, family, dsp, bram36):
    """What ``python -m rtl.build`` counts."""
    assert sum(dsps(engine, family).values()) == dsp
    assert sum(block_memories(engine, family).values()) == bram36


@pytest.mark.parametrize(
    "engine, board",
    [(ZCU104, "zcu104"), (KV260, "kv260"), (KV260_BRAM, "kv260")],
    ids=lambda each: getattr(each, "name", each),
)
def test_engines_fit_what_is_counted_exactly_of_their_boards(engine, board):
    load_board(board).require(
        dsp=sum(dsps(engine, "xilinx").values()),
        bram36=sum(block_memories(engine, "xilinx").values()),
        uram=sum(ultra_rams(engine).values()),
    )


def test_ultrarams_of_scratchpads():
    assert ultra_rams(KV260) == {"activations": 24, "residual": 16, "weights": 15}
    assert ultra_rams(KV260_BRAM) == {}
    deeper = replace(KV260, residual_words=4097, uram=("residual",))
    assert ultra_rams(deeper) == {"residual": 32}
    moved = block_memories(deeper, "xilinx")
    assert (moved["residual"], moved["weights"]) == (0, 120)


@pytest.mark.parametrize("family", DEVICES)
def test_dsps_of_the_norm_unit(family):
    engine = SMALL[family]
    assert synthesised(NormUnit(engine), family).total.dsp == dsps(engine, family)["norm"]


def test_parts_of_a_word_take_fewer_dsps():
    """As Yosys counts them on an ECP5."""
    assert dsps(sizes.HALVES, "ecp5") == {"matmul": 96, "norm": 32, "softmax": 9}


@pytest.mark.parametrize("family", DEVICES)
def test_dsps_and_choices_of_the_array(family):
    engine = replace(SMALL[family], token_lanes=12)
    used = synthesised(MultiplierArray(engine), family)
    lanes = LANE_DSPS[family] * 2 * engine.row_lanes
    assert used.total.dsp == dsps(engine, family)["matmul"] - lanes
    features = dict(structure.BLOCKS["matmul"](engine, family))["array"]
    assert used.modules["top"].own.lut == pytest.approx(features["choice_luts"], abs=10)


def test_a_block_for_every_module():
    blocks = {
        "dot_8_11_3.tree": "tile",
        "matmul.array.weights$760": "operands",
        "matmul.array": "array",
        "matmul.drain.writers": "drain",
        "matmul.drain.lanes": "lanes",
        "control.load.queue": "queues",
        "control.load.issue": "control",
        "bank_64_2_256": "bank",
        "weights.bank": "bank",
        "scores.guard": "score_memory",
        "norm.lanes": "norm_lanes",
        "norm.issue": "norm",
        "nothing": None,
    }
    assert {name: structure.block_of(name) for name in blocks} == blocks


def test_units_are_the_engine_s():
    assert set(structure.BLOCKS) == {*NAMES, *MEMORIES, "control", "dma"}
    assert set(banks(ZCU102)) == set(MEMORIES)
    assert set(banks(ZCU102_SELECT)) == {*MEMORIES, *SELECTING_MEMORIES}
    assert set(structure.units(ZCU102_SELECT)) == {*structure.BLOCKS, *SELECTING_MEMORIES}


@pytest.mark.parametrize("family", DEVICES)
def test_the_selection_of_tokens(family):
    """Its logic within a tenth of what Yosys counts; memories exactly."""
    engine = replace(SMALL[family], select_tokens=256)
    used = synthesised(TokenSelection(engine), family).total
    shapes = queues(engine)["softmax"][1:]
    memory = memory_features(shapes, family)
    lut, ff = structure.selection(engine, family)["softmax"]
    ff -= engine.softmax_lanes * (8 + engine.act_bits)  # of the softmax lanes
    assert used.lut == pytest.approx(lut + memory["memory_luts"] + memory["way_bits"], rel=0.1)
    assert used.ff == pytest.approx(ff + memory["memory_register_bits"], rel=0.1)
    assert used.bram36 == sum(block_memory([shape], family) for shape in shapes)
    assert (
        used.dsp
        == 4
        == sum(dsps(engine, family).values()) - sum(dsps(SMALL[family], family).values())
    )


@pytest.mark.parametrize("family", DEVICES)
def test_every_block_has_features(family):
    engine: EngineConfig = SMALL[family]
    assert {block for _, block, _ in structure.blocks(engine, family)} == set(structure.MODULES)


def test_the_narrowest_and_the_widest_engine_have_features():
    narrow = replace(TINY, token_lanes=2, row_lanes=4, depth_lanes=4, memory_bytes=4)
    wide = replace(TINY, token_lanes=32, row_lanes=64, depth_lanes=4, memory_bytes=64)
    for family in DEVICES:
        for engine in (narrow, wide):
            assert all(
                size >= 0
                for _, _, features in structure.blocks(engine, family)
                for size in features.values()
            )
