"""The plan of a network, by hand: TINY has 4 token lanes, 16 row lanes, 8 depth lanes."""

from dataclasses import replace

from rtl.compiler.sizes import Plan
from rtl.config import TINY
from sim.random_model import random_model

SHAPE = random_model(  # 7 tokens: six patches and the class token
    image=(28, 42, 1), patch=14, width=40, head_dim=12, blocks=((3, 50),) * 2, classes=5
).shape
PLAN = Plan(SHAPE, TINY)


def test_tensors_in_tiles_and_words():
    assert (PLAN.tokens, PLAN.tiles) == (7, 2)
    assert (PLAN.width_tiles, PLAN.width_depth) == (3, 5)
    assert (PLAN.key_tiles(0), PLAN.value_depth(0), PLAN.class_tiles) == (1, 1, 1)
    assert (PLAN.head_rows, PLAN.head_depth, PLAN.unit_heads) == (16, 2, 1)
    assert (PLAN.segment_bytes, PLAN.patch_row_words, PLAN.patch_words) == (14, 2, 28)
    assert (PLAN.residual_words, PLAN.score_slot_words(0)) == (6, 1)


def test_token_tiles():
    assert [list(tile.tokens) for tile in PLAN.all_tiles] == [[0, 1, 2, 3], [4, 5, 6]]
    assert [list(tile.tokens) for tile in PLAN.patch_tiles] == [[0, 1, 2, 3], [4, 5]]
    assert (list(PLAN.head_tile.tokens), PLAN.head_tile.lane_first) == ([6], 2)
    alone = Plan(random_model(patch=14, width=16, blocks=((1, 16),)).shape, TINY)
    assert (len(alone.all_tiles), len(alone.patch_tiles)) == (2, 1)


def test_the_last_block_computes_only_what_the_head_needs():
    assert PLAN.query_tiles(0) == PLAN.all_tiles
    assert PLAN.query_tiles(1) == (PLAN.head_tile,)
    assert Plan(replace(SHAPE, mean_pool=True), TINY).query_tiles(1) == PLAN.patch_tiles


def test_every_block_has_its_own_tokens():
    """Six patches and the class token; two patches are left behind the attention of block 0."""
    first = replace(SHAPE.blocks[0], keep=2)
    plan = Plan(replace(SHAPE, blocks=(first, *SHAPE.blocks)), TINY)
    assert [plan.tokens_in(block) for block in range(4)] == [7, 3, 3, 3]
    assert plan.query_tiles(0) == plan.all_tiles == PLAN.all_tiles
    assert [list(tile.tokens) for tile in plan.output_tiles(0)] == [[0, 1, 2]]
    assert plan.query_tiles(1) == plan.output_tiles(1) == plan.tiles_in(1) == plan.output_tiles(0)
    assert plan.output_tiles(2) == (plan.head_tile,) and list(plan.head_tile.tokens) == [2]
    wide = Plan(plan.shape, replace(TINY, row_lanes=4, depth_lanes=4, memory_bytes=8))
    assert [wide.key_tiles(block) for block in range(3)] == [2, 1, 1]
    assert [wide.value_depth(block) for block in range(3)] == [2, 1, 1]


def test_tokens_without_patches():
    """Six patches, nine registers, a class token: two of four tiles have patches."""
    plan = Plan(replace(SHAPE, registers=9), TINY)
    assert [list(tile.tokens) for tile in plan.patch_tiles] == [[0, 1, 2, 3], [4, 5]]
    assert plan.tiles == 4 and list(plan.head_tile.tokens) == [15]


def test_of_tokens_the_last_block_computes_all():
    plan = Plan(replace(SHAPE, dense=True, classes=0, head_bits8=()), TINY)
    assert plan.query_tiles(1) == plan.all_tiles
    assert "head" not in plan.all_layers


def test_the_output_takes_whole_beats():
    """Logits a word of 16 int32; 7 tokens of 3 words of 16 int16."""
    assert PLAN.output_bytes == 64
    dense = replace(SHAPE, dense=True, classes=0, head_bits8=())
    assert Plan(dense, TINY).output_bytes == 7 * 3 * 32
    assert Plan(dense, replace(TINY, memory_bytes=64)).output_bytes == 11 * 64


def test_parts_of_a_layer():
    block = replace(SHAPE.blocks[0], first_table_units=16)
    plan = Plan(replace(SHAPE, blocks=(block, SHAPE.blocks[1])), TINY)
    assert [(part.first, part.count) for part in plan.expansion_parts(0)] == [(0, 1), (1, 3)]
    assert [(part.first, part.count) for part in plan.expansion_parts(1)] == [(0, 4)]
    large = Plan(replace(SHAPE, classes=16 * 511, head_bits8=(False,) * 511), TINY)
    assert [(part.first, part.count) for part in large.logit_parts] == [
        (0, 170),
        (170, 170),
        (340, 171),
    ]


def test_matrices_of_a_block():
    layers = PLAN.layers(0)
    assert {name: (layer.row_tiles, layer.depth_words) for name, layer in layers.items()} == {
        "q": (3, 5),  # padded heads: 48 rows
        "k": (3, 5),
        "v": (3, 5),
        "proj": (3, 6),
        "fc1": (4, 5),
        "fc2": (3, 7),
    }
    assert [layer.name for layer in layers.values()][:1] == ["blocks.0.q"]


def test_all_matrices_have_their_names():
    names = list(PLAN.all_layers)
    assert (names[0], names[-1], len(names)) == ("embed", "head", 2 + 2 * 6)
    pooled = Plan(replace(SHAPE, mean_pool=True), TINY).all_layers
    assert {"pool.values", "pool.weights", "pool"} == set(pooled) - set(names)


def test_activation_words_of_a_block():
    assert PLAN.norm_words == 2 * 3
    assert PLAN.query_words(0) == 2 * 3
    assert PLAN.attention_words(0) == 6 + TINY.score_slots
    assert (PLAN.hidden_tiles(0), PLAN.hidden_depth(0)) == (4, 7)
    assert Plan(SHAPE, replace(TINY, activation_words=10)).mlp_tiles(0) == 1
    assert Plan(SHAPE, replace(TINY, activation_words=9)).mlp_tiles(0) == 0


def test_slots_are_those_that_have_room():
    engine = replace(TINY, score_slots=4)
    assert Plan(SHAPE, engine).attention_slots(0) == 4
    assert Plan(SHAPE, replace(engine, activation_words=15)).attention_slots(0) == 3
    assert Plan(SHAPE, replace(engine, activation_words=13)).attention_slots(0) == 2


def test_banks_of_keys_and_values_share_the_smaller_one():
    plan = Plan(SHAPE, replace(TINY, key_words=9, value_words=4))
    assert plan.key_value_tiles(0) == 4
    assert plan.unit_tiles(0) == 1
