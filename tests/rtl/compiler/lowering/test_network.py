"""The order of a network's operations, and the tokens that the last block computes."""

from dataclasses import replace
from itertools import pairwise

import pytest

from rtl.compiler import lower, plan
from rtl.compiler.operations import MemorySpace
from rtl.config import TINY
from rtl.isa.instructions import Destination, Opcode
from rtl.model.keep import with_keep
from tests.rtl.compiler.lowering.shapes import SHAPE, subjects


def test_the_last_block_computes_the_class_token_only():
    class_tile = plan(SHAPE, TINY).head_tile
    for subject in subjects(TINY, 1):
        if subject.tensor[-2:] not in (".k", ".v"):
            assert subject.tile == class_tile


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


@pytest.mark.parametrize("shape", [SHAPE, replace(SHAPE, front_bits8=(True,) * 3)])
def test_a_norm_follows_the_last_matmul_that_writes_its_input(shape):
    operations = [op for op in lower(plan(shape, TINY)).operations if op.opcode is not Opcode.LOAD]
    for before, after in pairwise(op.subject for op in operations):
        if after.kind == "norm":
            assert before.kind in ("embed", "front", "proj", "fc2")
            assert before.tile.index == after.tile.index


DENSE = replace(SHAPE, dense=True, classes=0, head_bits8=())


def computing(shape):
    return [op for op in lower(plan(shape, TINY)).operations if op.opcode is not Opcode.LOAD]


def test_each_tile_of_tokens_is_stored_behind_the_last_matmul_that_writes_it():
    """7 tokens of 3 words of 32 bytes; no norm, head or mean behind the last block."""
    operations = computing(DENSE)
    assert {op.subject.tensor for op in operations}.isdisjoint({"norm", "logits"})
    stores = [i for i, op in enumerate(operations) if op.opcode is Opcode.STORE]
    for i in stores:
        before, after = operations[i - 1].subject, operations[i].subject
        assert (before.kind, before.tensor) == ("fc2", after.tensor) == ("fc2", "blocks.1.output")
        assert before.tile == after.tile
    fields = ("offset", "token", "source_address", "row_words", "more_words", "int16")
    assert [[operations[i].operands[name] for name in fields] for i in stores] == [
        [0, 0, 0, 3, 9, 1],
        [4 * 96, 4, 3, 3, 6, 1],
    ]


def test_attention_pooling_stores_the_last_token_alone():
    """Query, context, MLP of the last of 7 tokens: lane 2 of tile 1; the stream is overwritten."""
    shape = replace(DENSE, attention_pool=True)
    operations = [op for op in computing(shape) if op.subject.block == 1]
    *_, store = computing(shape)[:-1]
    fields = ("offset", "token", "source_address", "row_words", "more_words", "int16")
    assert [store.operands[name] for name in fields] == [0, 6, 3, 3, 0, 1]
    lanes = {}
    for op in operations:
        if op.opcode is Opcode.MATMUL:
            kind = op.subject.layer.rpartition(".")[2] or op.subject.kind
            lanes.setdefault(kind, set()).add((op.subject.tile.index, op.operands["lane_first"]))
    assert lanes.pop("k") == lanes.pop("v") == {(0, 0), (1, 0)}
    assert all(found == {(1, 2)} for found in lanes.values())
    (query,) = {
        op.operands["depth_words"] for op in operations if op.subject.tensor == "blocks.1.q"
    }
    assert query == 1
    written = {op.subject.kind: op.operands["accumulate"] for op in operations
               if op.subject.kind in ("proj", "fc2")}  # fmt: skip
    assert written == {"proj": 0, "fc2": 1}


def test_tokens_without_a_patch_get_their_position_and_a_norm():
    """16 tokens in four tiles: 6 patches, 9 registers, the class token."""
    operations = lower(plan(replace(SHAPE, registers=9), TINY)).operations
    tiles = [
        op.subject.tile.index
        for op in operations
        if op.subject.tensor in ("position", "blocks.0.norm1") and op.subject.tile
    ]
    assert sorted(tiles) == sorted(2 * [0, 1, 2, 3])
    assert {op.subject.tile.index for op in operations if op.subject.kind == "embed"} == {0, 1}


def test_the_matrix_in_front_takes_the_place_of_the_stream():
    operations = computing(replace(SHAPE, front_bits8=(True,) * 3))
    kinds = [op.subject.kind for op in operations]
    first, last = kinds.index("front"), len(kinds) - kinds[::-1].index("front")
    assert {op.subject.tensor for op in operations[1:first]} == {"embed", "front.norm"}
    assert {op.subject.tensor for op in operations[first:last]} == {"front", "blocks.0.norm1"}
    assert {op.operands["accumulate"] for op in operations if op.subject.kind == "front"} == {0}


def with_tables(*first_units):
    """Blocks of 64 hidden units, with two tables where there is a number of the first one's."""
    block = SHAPE.blocks[0]
    return replace(
        SHAPE, blocks=tuple(replace(block, first_table_units=units) for units in first_units)
    )


def test_hidden_units_look_up_their_table():
    """One table in place 0, two in 1 and 0, then one in 1 again; a run ends with its table."""
    shape = with_tables(None, 16, None, 48, None)
    used = {}
    for op in computing(shape):
        if op.subject.kind == "fc1":
            tiles = range(op.subject.row_tile, op.subject.row_tile + op.operands["row_tiles"])
            table = op.operands["gelu_table"]
            used.setdefault(op.subject.block, {}).update(dict.fromkeys(tiles, table))
            assert [span.start for span in op.reads if span.space is MemorySpace.GELU] == [table]
    assert [list(tables.values()) for tables in used.values()] == [
        [0, 0, 0, 0],
        [1, 0, 0, 0],
        [1, 1, 1, 1],
        [0, 0, 0, 1],
        [0, 0, 0, 0],
    ]


def test_a_table_is_loaded_once_and_waits_for_its_place_alone():
    """Of three blocks with two tables: each place is loaded three times, in turn."""
    operations = lower(plan(with_tables(16, 32, 48), TINY)).operations
    loads = [op for op in operations if op.subject.tensor == "gelu"]
    assert [op.operands["destination"] for op in loads] == [0, 1] * 3
    assert [op.operands["bytes"] for op in loads] == [256] * 6
    assert len({op.operands["offset"] for op in loads}) == 6
    second = operations.index(loads[2])  # the second block's first table
    users = [
        number
        for number, op in enumerate(operations)
        if op.subject.kind == "fc1" and op.subject.block == 0 and op.operands["gelu_table"] == 0
    ]
    assert max(users) < second


def test_logits_are_stored_in_parts():
    """300 words: two parts, one behind the other in memory."""
    shape = replace(SHAPE, classes=4800, head_bits8=(False,) * 300)
    stores = [op for op in computing(shape) if op.opcode is Opcode.STORE]
    fields = ("offset", "row_words", "token", "source_address")
    assert [[op.operands[name] for name in fields] for op in stores] == [
        [0, 150, 6, 6],
        [150 * 64, 150, 6, 156],
    ]


SELECTING = replace(TINY, select_tokens=256)
KEPT = with_keep(replace(SHAPE, image=(14 * 4, 14 * 5, 1), blocks=SHAPE.blocks * 2), {0: 10, 2: 4})


def selecting():
    operations = lower(plan(KEPT, SELECTING)).operations
    return [op for op in operations if op.opcode is not Opcode.LOAD]


def test_the_projection_writes_the_tokens_that_stay_to_their_places():
    """21 tokens, of which 11 and then 5 stay: a place is at most 10 or 6 below its token."""
    found = {}
    for op in selecting():
        if op.subject.kind == "proj":
            kept = op.operands["destination"] == Destination.KEPT
            assert kept == (op.subject.block in (0, 2))
            places = [op.writes[0][1:]] if kept else [op.subject.tile.tokens.start]
            found.setdefault(op.subject.block, []).extend(places)
    assert found[0] == [(0, 4), (0, 8), (0, 11), (2, 11), (6, 11), (10, 11)]
    assert found[1] == [0, 4, 8]
    assert found[2] == [(0, 4), (0, 5), (2, 5)]
    assert found[3] == [4]  # the class token


def test_a_norm_follows_the_last_matmul_that_may_write_its_input():
    """Tokens 0 to 3 of those that stay may come from tokens up to 13, in tile 3."""
    operations = [op.subject for op in selecting()]
    before = {
        (after.tensor, after.tile.index): found.tile.index
        for found, after in pairwise(operations)
        if after.tensor in ("blocks.0.norm2", "blocks.2.norm2") and found.kind == "proj"
    }
    assert before == {
        ("blocks.0.norm2", 0): 3,
        ("blocks.0.norm2", 1): 4,
        ("blocks.0.norm2", 2): 5,
        ("blocks.2.norm2", 0): 2,
    }


def test_behind_the_selection_there_are_fewer_tokens():
    tokens = {}
    for op in selecting():
        if op.subject.tile is not None and op.subject.block >= 0:
            name = (op.subject.block, op.subject.kind)
            tokens[name] = max(tokens.get(name, 0), op.subject.tile.tokens.stop)
    assert [tokens[block, "qkv"] for block in range(4)] == [21, 11, 11, 5]
    assert [tokens[block, "fc1"] for block in range(4)] == [11, 11, 5, 5]
    keys = {op.subject.block: op.operands["keys"] for op in selecting() if "keys" in op.operands}
    assert keys == {0: 21, 1: 11, 2: 11, 3: 5}
