"""Order of a network's operations, top to bottom, and the reasons for it.

Matrices run row blocks (what the weight ring holds at a time) outside, token tiles inside; within
an instruction, row tiles. So every weight is fetched once, for all tiles, and the ring frees block
by block. A LayerNorm follows, tile by tile, the last matmul that writes its input: the norm unit
works on tile t while the array multiplies tile t + 1.

Where on-chip memory does not hold all tiles (pixels in the embedding, hidden activations in the
MLP), tiles are cut into groups and the weights are fetched again for each group.

Constants take their place in the MODEL region in the order in which this module asks for them.
"""

from collections.abc import Callable, Iterator

from rtl.compiler.lowering.attention import BlockAttention
from rtl.compiler.lowering.layers import Layers, Writeback, per_group, times
from rtl.compiler.lowering.layout import (
    AttentionLayout,
    head_input,
    logits_address,
    words,
)
from rtl.compiler.lowering.pixels import PixelBanks
from rtl.compiler.lowering.pooling import MeanPooling
from rtl.compiler.operations import MemorySpace, Operation, Span, Subject
from rtl.compiler.requests import GeluRequest, Pending, PositionRequest, Request
from rtl.compiler.runs import RowRun, RowTiles
from rtl.compiler.sizes import Plan
from rtl.compiler.tiles import TiledMatrix, TokenTile, divide_up, evenly
from rtl.isa.instructions import Activations, Base, Destination, Format, Opcode


class NetworkListing:
    """Lists a network's computing operations, each with the requests that it needs.

    Every method yields operations in the order of the program. LOADs are not among them:
    :mod:`rtl.compiler.prefetch` puts them in.

    Parameters
    ----------
    plan : Plan
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self.layers = Layers(plan)

    def operations(self) -> Iterator[Pending]:
        """List all operations, from the first strip of pixels to the logits."""
        yield from self.embedding()
        for block in range(len(self.plan.shape.blocks)):
            yield from BlockAttention(self.layers, block).operations()
            yield from self.projection(block)
            yield from self.mlp(block)
        if self.plan.shape.mean_pool:
            yield from MeanPooling(self.layers).operations()
        yield from self.classifier()

    def embedding(self) -> Iterator[Pending]:
        """Patches times weights, added to the position that was preloaded; the first LayerNorm."""
        plan, layers, pixels = self.plan, self.layers, PixelBanks(self.plan)
        norm = layers.norm("blocks.0.norm1")
        blocks = layers.weight_blocks(all_rows(plan.embed))
        chunk = layers.constants.position()
        positions = [PositionRequest(chunk, tile) for tile in plan.all_tiles]

        def embed(run: RowRun, tile: TokenTile) -> Operation:
            operands, *regions = layers.to_residual(run, tile)
            writeback = Writeback(operands | {"activations": Activations.PIXELS}, *regions)
            return layers.matmul("embed", "embed", run, tile, pixels.patches(tile), writeback)

        def needs(tile: TokenTile) -> tuple[Request, ...]:
            return positions[tile.index], *pixels.strips(tile)

        def normalize(tile: TokenTile) -> Pending:
            return norm(plan.tile(tile.index))  # the class token too, if it is in this tile

        groups = list(pixels.groups())
        for group, group_blocks in zip(groups, per_group(blocks, len(groups)), strict=True):
            yield from times(group_blocks, group, embed, needs, then=normalize)
        if len(plan.patch_tiles) < len(plan.all_tiles):  # the class token has its own tile
            operation, requests = norm(plan.all_tiles[-1])
            yield Pending(operation, (*requests, positions[-1]))

    def projection(self, block: int) -> Iterator[Pending]:
        """The heads' context back to the residual stream, then the block's second LayerNorm."""
        plan, layers = self.plan, self.layers
        layout, tensor = AttentionLayout(plan, block), f"blocks.{block}.attended"
        norm = layers.norm(f"blocks.{block}.norm2")

        def project(run: RowRun, tile: TokenTile) -> Operation:
            context = layout.queries(tile)  # over Q
            writeback = layers.to_residual(run, tile)
            return layers.matmul("proj", tensor, run, tile, context, writeback)

        blocks = layers.weight_blocks(all_rows(plan.layers(block)["proj"]))
        yield from times(blocks, plan.query_tiles(block), project, then=norm)

    def mlp(self, block: int) -> Iterator[Pending]:
        """Fc1 and fc2, for as many token tiles at a time as hidden activations fit.

        Followed by the LayerNorm of the next block, or the last one.
        """
        plan, layers = self.plan, self.layers
        norm = layers.norm("norm" if plan.is_last(block) else f"blocks.{block + 1}.norm1")
        # Blocks take turns with the two tables, so that the next one is loaded meanwhile.
        table = GeluRequest(layers.constants.gelu(block), block % 2)
        tiles = plan.query_tiles(block)
        groups = evenly(tiles, divide_up(len(tiles), plan.mlp_tiles(block)))
        fc1_blocks, fc2_blocks = (
            per_group(layers.weight_blocks(all_rows(plan.layers(block)[name])), len(groups))
            for name in ("fc1", "fc2")
        )
        for group, expand, contract in zip(groups, fc1_blocks, fc2_blocks, strict=True):
            first = group[0].index
            fc1 = self.expansion(block, first, table)
            yield from times(expand, group, fc1, lambda tile: (table,))
            yield from times(contract, group, self.contraction(block, first), then=norm)

    def expansion(
        self, block: int, first: int, table: GeluRequest
    ) -> Callable[[RowRun, TokenTile], Operation]:
        """Return a function that makes MATMULs of fc1; ``first`` is the first tile of the group."""
        layers, tensor = self.layers, f"blocks.{block}.hidden"
        gelu = {"format": Format.INT8, "gelu": 1, "gelu_table": table.table}
        reads = (table.span,)

        def fc1(run: RowRun, tile: TokenTile) -> Operation:
            operands, writes, _ = layers.to_activations(run, self.hidden(block, tile, first))
            writeback = Writeback(operands | gelu, writes, reads)
            source = layers.norm_outputs[tile.index]
            return layers.matmul("fc1", tensor, run, tile, source, writeback)

        return fc1

    def contraction(self, block: int, first: int) -> Callable[[RowRun, TokenTile], Operation]:
        """Return a function that makes MATMULs of fc2; ``first`` is the first tile of the group."""
        layers, tensor = self.layers, f"blocks.{block}.output"

        def fc2(run: RowRun, tile: TokenTile) -> Operation:
            hidden, writeback = self.hidden(block, tile, first), layers.to_residual(run, tile)
            return layers.matmul("fc2", tensor, run, tile, hidden, writeback)

        return fc2

    def hidden(self, block: int, tile: TokenTile, first: int) -> Span:
        """Hidden activations of a tile, where those of tile ``first`` are the first ones."""
        tiles = self.plan.hidden_tiles(block)
        return words(self.plan, self.plan.norm_words + (tile.index - first) * tiles, tiles)

    def classifier(self) -> Iterator[Pending]:
        """Logits of the class token or of the mean, into the residual scratchpad; then STORE."""
        plan, layers = self.plan, self.layers
        first, source = logits_address(plan), head_input(plan)
        behind = first >= plan.residual_words  # or over tokens, which ones is not worth knowing
        logits = Span(MemorySpace.RESIDUAL, plan.tokens if behind else 0, plan.tokens + 1)

        def head(run: RowRun, tile: TokenTile) -> Operation:
            operands = {
                "destination": Destination.RESIDUAL,
                "format": Format.INT16,
                "accumulate": 0,
                "destination_address": first + run.first,
                "destination_stride": 0,  # so that the token's group does not matter
            }
            writeback = Writeback(operands, (logits,))
            return layers.matmul("head", "logits", run, tile, source, writeback)

        blocks = layers.weight_blocks(all_rows(plan.head))
        yield from times(blocks, (plan.head_tile,), head)
        operands = {
            "base": Base.OUTPUT,
            "offset": 0,
            "source_address": first,
            "token": plan.tokens - 1,
            "row_words": plan.class_tiles,
        }
        subject = Subject("store", "logits", "", tile=plan.head_tile)
        yield Pending(Operation(Opcode.STORE, operands, (logits,), (), subject))


def all_rows(layer: TiledMatrix) -> RowTiles:
    """All row tiles of a layer."""
    return RowTiles(layer, 0, layer.row_tiles)
