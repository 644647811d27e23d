"""Requests: LOADs of a place, and how operations learn of it."""

from dataclasses import replace

import pytest

from rtl.compiler import plan
from rtl.compiler.allocator import Allocator
from rtl.compiler.operations import Chunk, MemorySpace, Operation, Span, Subject
from rtl.compiler.requests import (
    Exponents,
    GeluRequest,
    PositionRequest,
    Request,
    StripRequest,
    WeightBlock,
)
from rtl.compiler.runs import RowRun
from rtl.compiler.tiles import TiledMatrix
from rtl.config import TINY
from rtl.isa.instructions import Opcode, Target
from sim.random_model import random_model

PLAN = plan(
    random_model(image=(56, 56, 1), patch=8, blocks=((2, 32),), width=32).shape,
    replace(TINY, weight_words=100),
)
SUBJECT = Subject("fc1", "", "")
LAYER = TiledMatrix("blocks.0.fc1", 0, 64, 40, 5, (True, False, False, False))


def weight_block(tiles=4):
    run = RowRun(LAYER, 0, tiles, word=0, parameter=0)
    weights = Chunk("weights", ((LAYER.name, 0, tiles),), 64, run.words * 64)
    return WeightBlock([run], weights, Chunk("parameters", ((LAYER.name, 0, tiles),), 0, tiles * 8))


def test_a_request_must_say_where_it_goes():
    with pytest.raises(TypeError, match="abstract"):
        Request()


def test_a_weight_block_over_the_end_of_the_ring_is_loaded_in_two_parts():
    pads = Allocator(PLAN)
    first = object()
    pads.weights.take(80, first)
    block = weight_block()
    assert not block.fits(pads)
    pads.weights.release(first)
    resident = block.place(pads)
    parameters, *weights = resident.loads
    assert parameters.writes == (Span(MemorySpace.PARAMETERS, 0, 4),)
    assert [load.writes[0][1:] for load in weights] == [(80, 100), (0, 5)]
    word = PLAN.engine.weight_word_bytes
    assert [load.operands["offset"] for load in weights] == [64, 64 + 20 * word]
    assert [load.operands["bytes"] for load in weights] == [20 * word, 5 * word]
    assert [load.operands["target"] for load in weights] == [Target.WEIGHTS] * 2


def test_a_matmul_learns_where_its_run_lies():
    pads = Allocator(PLAN)
    pads.weights.take(10, object())
    pads.parameters.take(3, object())
    block = weight_block()
    matmul = Operation(Opcode.MATMUL, {"row_tiles": 4}, (), (), SUBJECT, block.runs[0])
    complete = block.place(pads).complete(matmul)
    assert complete.operands == {"row_tiles": 4, "weight_address": 10, "parameter_address": 3}
    assert complete.reads == (
        Span(MemorySpace.WEIGHTS, 10, 35),
        Span(MemorySpace.PARAMETERS, 3, 7),
    )
    assert matmul.operands == {"row_tiles": 4} and not matmul.reads


def test_runs_go_on_at_the_begin_of_the_ring():
    """Row tiles of 10 and 5 words in a run, of 5 and 5 in another, from word 88 of 100 on."""
    pads = Allocator(PLAN)
    first = object()
    pads.weights.take(88, first)
    pads.weights.release(first)
    runs = [RowRun(LAYER, 0, 2, word=0, parameter=0), RowRun(LAYER, 2, 2, word=15, parameter=2)]
    resident = replace(weight_block(), runs=runs).place(pads)
    matmuls = [
        resident.complete(Operation(Opcode.MATMUL, {}, (), (), SUBJECT, run)) for run in runs
    ]
    assert [matmul.operands["weight_address"] for matmul in matmuls] == [88, 3]
    assert [[span[1:] for span in matmul.reads] for matmul in matmuls] == [
        [(88, 100), (0, 3), (0, 2)],
        [(3, 13), (2, 4)],
    ]


def test_a_block_is_given_back_by_itself_only():
    pads = Allocator(PLAN)
    block = weight_block()
    again = block.again()
    assert again is not block and again.weights is block.weights
    block.place(pads)
    again.place(pads)
    block.release(pads)
    assert pads.weights.used == again.words == 25


def test_a_norm_learns_where_its_exponents_lie():
    pads = Allocator(PLAN)
    pads.exponents.take(5, object())
    request = Exponents(Chunk("exponents", (("norm", 0, 0),), 128, 32), 2)
    norm = request.place(pads).complete(Operation(Opcode.NORM, {}, (), (), SUBJECT))
    assert norm.operands == {"exponent_address": 5}
    assert norm.reads == (Span(MemorySpace.EXPONENTS, 5, 7),)


def test_a_gelu_table_waits_for_its_place():
    pads = Allocator(PLAN)
    chunk = Chunk("gelu", (("blocks.0.gelu", 0, 0),), 0, 256)
    first, other, next_one = GeluRequest(chunk, 0), GeluRequest(chunk, 1), GeluRequest(chunk, 0)
    assert first.place(pads).loads[0].writes == (Span(MemorySpace.GELU, 0, 1),)
    assert other.fits(pads) and not next_one.fits(pads)
    first.release(pads)
    assert next_one.fits(pads)


def test_positions_of_a_tile_go_to_its_tokens():
    tile = PLAN.all_tiles[1]
    chunk = Chunk("position", (("position", 0, 0),), 640, 50 * 64)
    (load,) = PositionRequest(chunk, tile).place(Allocator(PLAN)).loads
    assert load.writes == (Span(MemorySpace.RESIDUAL, 4, 8),)
    assert (load.operands["offset"], load.operands["bytes"]) == (640 + 4 * 64, 4 * 64)
    assert load.subject.tile == tile


def test_strips_share_a_tile_and_wait_for_another():
    """Strips 0 and 1 meet in tile 1; strip 2 wants the place of strip 0's tiles."""
    pads = Allocator(PLAN)
    first = StripRequest(0, range(2), 0, PLAN)
    second = StripRequest(1, range(1, 4), 1, PLAN)
    other = StripRequest(2, range(7, 9), 0, PLAN)
    (load,) = first.place(pads).loads
    assert load.writes == (Span(MemorySpace.PIXELS, 0, 2 * PLAN.patch_words),)
    assert load.operands["segments"] == 7
    assert second.fits(pads)
    second.place(pads)
    first.release(pads)
    assert not other.fits(pads)  # tile 1 still has the second strip
    second.release(pads)
    assert other.fits(pads)
