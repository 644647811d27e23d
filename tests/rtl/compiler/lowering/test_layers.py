"""Operations of a piece of a matrix: operands and spans, by hand."""

from rtl.compiler import plan
from rtl.compiler.lowering.layers import Layers, Writeback, per_group, times
from rtl.compiler.lowering.layout import norm_output, words
from rtl.compiler.operations import MemorySpace, Span
from rtl.compiler.runs import RowTiles
from rtl.config import TINY
from rtl.isa.instructions import Destination, Opcode, Weights
from tests.rtl.compiler.lowering.shapes import SHAPE

PLAN = plan(SHAPE, TINY)
TILE = PLAN.all_tiles[1]  # tokens 4 to 6


def fc1_block():
    layers = Layers(PLAN)
    return layers, layers.weight_blocks(RowTiles(PLAN.layers(0)["fc1"], 1, 3))


def test_a_matmul_reads_the_depth_of_its_layer_and_its_destination():
    layers, (block, *_) = fc1_block()
    run = block.runs[0]
    writeback = layers.to_residual(run, TILE)
    source = norm_output(PLAN, TILE)
    operation = layers.matmul("fc1", "blocks.0.hidden", run, TILE, source, writeback)
    tokens = Span(MemorySpace.RESIDUAL, 4, 7)
    assert operation.opcode is Opcode.MATMUL
    assert operation.reads == (Span(MemorySpace.ACTIVATIONS, 6, 12), tokens)
    assert operation.writes == (tokens,)
    assert (
        operation.operands.items()
        >= {
            "weights": Weights.RING,
            "activation_address": 6,
            "depth_words": 6,
            "row_tiles": run.count,
            "token": 4,
            "lane_count": 3,
            "accumulate": 1,
            "destination_address": 3 + 1,  # the second group of four tokens, the second row tile
        }.items()
    )
    assert (operation.subject.layer, operation.subject.row_tile) == ("blocks.0.fc1", 1)


def test_results_go_to_activations_and_banks():
    layers, (block, *_) = fc1_block()
    run = block.runs[0]
    operands, writes, reads = layers.to_activations(run, words(PLAN, 10, 4))
    assert (operands["destination_address"], operands["mask_count"]) == (11, 2 * run.count)
    assert (writes, reads) == ((Span(MemorySpace.ACTIVATIONS, 22, 22 + 2 * run.count),), ())
    for space, address in ((MemorySpace.KEYS, 5 + 1), (MemorySpace.VALUES, 5 + 1)):
        bank = Span(space, 5, 9)
        to_bank = layers.to_bank(TILE, bank, row_tile=1, row_tiles=2)
        assert to_bank.writes == (bank,)
        assert to_bank.operands["destination_address"] == address
        assert Destination(to_bank.operands["destination"]).name == space.name


def test_every_run_meets_every_tile_and_what_follows_comes_with_the_last_block():
    layers, blocks = fc1_block()
    blocks = [*blocks, *per_group(blocks, 2)[1]]
    norm = layers.norm("norm")
    build = lambda run, tile: layers.matmul(  # noqa: E731
        "fc1", "", run, tile, norm_output(PLAN, tile), Writeback({}, ())
    )
    listed = list(times(blocks, PLAN.all_tiles, build, then=norm))
    kinds = [operation.subject.kind for operation, _ in listed]
    runs = len(blocks[-1].runs)
    assert kinds[-2 * runs - 2 :] == [*["fc1"] * runs, "norm", *["fc1"] * runs, "norm"]
    assert kinds.count("norm") == 2
    used = [requests[0] for operation, requests in listed if operation.opcode is Opcode.MATMUL]
    assert list(dict.fromkeys(used)) == blocks
