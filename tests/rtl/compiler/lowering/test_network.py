"""The order of a network's operations, and the tokens that the last block computes."""

from dataclasses import replace
from itertools import pairwise

from rtl.compiler import lower, plan
from rtl.config import TINY
from rtl.isa.instructions import Opcode
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


def test_a_norm_follows_the_last_matmul_that_writes_its_input():
    operations = [op for op in lower(plan(SHAPE, TINY)).operations if op.opcode is not Opcode.LOAD]
    for before, after in pairwise(op.subject for op in operations):
        if after.kind == "norm":
            assert before.kind in ("embed", "proj", "fc2")
            assert before.tile.index == after.tile.index
