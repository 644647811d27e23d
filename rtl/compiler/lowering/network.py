"""Order of a network's operations, top to bottom, and the reasons for it.

Matrices run row blocks (what the weight ring holds at a time) outside, token tiles inside; within
an instruction, row tiles. So every weight is fetched once, for all tiles, and the ring frees block
by block. A LayerNorm follows, tile by tile, the last matmul that writes its input: the norm unit
works on tile t while the array multiplies tile t + 1.

Where on-chip memory does not hold all tiles (pixels in the embedding, hidden activations in the
MLP), tiles are cut into groups and the weights are fetched again for each group.

Constants take their place in the MODEL region in the order in which this module asks for them.
"""

from collections import deque
from collections.abc import Callable, Iterator

from rtl.compiler.lowering.attention import BlockAttention
from rtl.compiler.lowering.layers import Layers, Writeback, per_group, times
from rtl.compiler.lowering.layout import (
    AttentionLayout,
    LogitPlaces,
    head_input,
    residual_tokens,
    words,
)
from rtl.compiler.lowering.pixels import PixelBanks
from rtl.compiler.lowering.pooling import MeanPooling
from rtl.compiler.operations import Operation, Span, Subject
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
        self.next_table = 0  # place of the next GELU table

    def operations(self) -> Iterator[Pending]:
        """List all operations, from the first strip of pixels to the logits or tokens."""
        yield from self.embedding()
        if self.plan.front:
            yield from self.front(self.plan.front)
        for block in range(len(self.plan.shape.blocks)):
            yield from BlockAttention(self.layers, block).operations()
            yield from self.projection(block)
            yield from self.mlp(block)
        if self.plan.shape.mean_pool:
            yield from MeanPooling(self.layers).operations()
        if not self.plan.shape.dense:
            yield from self.classifier()

    def embedding(self) -> Iterator[Pending]:
        """Patches times weights, added to the position that was preloaded; the first LayerNorm."""
        plan, layers, pixels = self.plan, self.layers, PixelBanks(self.plan)
        norm = layers.norm("front.norm" if plan.front else "blocks.0.norm1")
        blocks = layers.weight_blocks(all_rows(plan.embed))
        chunk = layers.constants.position()
        positions = [PositionRequest(chunk, tile) for tile in plan.all_tiles]

        def embed(run: RowRun, tile: TokenTile) -> Operation:
            operands, *regions = layers.to_residual(run, tile)
            writeback = Writeback(operands | {"activations": Activations.PIXELS}, *regions)
            return layers.matmul("embed", "embed", run, tile, pixels.patches(tile), writeback)

        def needs(run: RowRun, tile: TokenTile) -> tuple[Request, ...]:
            return positions[tile.index], *pixels.strips(tile)

        def normalize(tile: TokenTile) -> list[Pending]:
            return norm(plan.all_tiles[tile.index])  # tokens without a patch too, if in this tile

        groups = list(pixels.groups())
        for group, group_blocks in zip(groups, per_group(blocks, len(groups)), strict=True):
            yield from times(group_blocks, group, embed, needs, then=normalize)
        for tile in plan.all_tiles[len(plan.patch_tiles) :]:  # without patches
            [(operation, requests)] = norm(tile)
            yield Pending(operation, (*requests, positions[tile.index]))

    def front(self, matrix: TiledMatrix) -> Iterator[Pending]:
        """A matrix behind a LayerNorm, in the stream's place; the first block's LayerNorm."""
        layers = self.layers

        def mix(run: RowRun, tile: TokenTile) -> Operation:
            writeback = layers.to_residual(run, tile, add=False)
            source = layers.norm_outputs[tile.index]
            return layers.matmul("front", "front", run, tile, source, writeback)

        blocks = layers.weight_blocks(all_rows(matrix))
        yield from times(blocks, self.plan.all_tiles, mix, then=layers.norm("blocks.0.norm1"))

    def projection(self, block: int) -> Iterator[Pending]:
        """The heads' context back to the residual stream, then the block's second LayerNorm."""
        plan, layers = self.plan, self.layers
        layout, tensor = AttentionLayout(plan, block), f"blocks.{block}.attended"
        norm = layers.norm(f"blocks.{block}.norm2")

        selects = plan.shape.blocks[block].keep is not None
        dropped = plan.tokens_in(block) - plan.tokens_in(block + 1)
        waiting = deque(plan.output_tiles(block))

        def project(run: RowRun, tile: TokenTile) -> Operation:
            context = layout.queries(tile)  # over Q
            if selects:
                writeback = layers.to_kept(run, tile, block)
            else:
                writeback = layers.to_residual(run, tile, add=not plan.shape.pools(block))
            return layers.matmul("proj", tensor, run, tile, context, writeback)

        def complete(tile: TokenTile) -> Iterator[Pending]:
            """Norms of tiles in which nothing is written any more, whatever is selected."""
            while waiting and waiting[0].tokens.stop + dropped <= tile.tokens.stop:
                yield from norm(waiting.popleft())

        blocks = layers.weight_blocks(all_rows(plan.layers(block)["proj"]))
        yield from times(blocks, plan.query_tiles(block), project, then=complete)

    def mlp(self, block: int) -> Iterator[Pending]:
        """Fc1 and fc2, for as many token tiles at a time as hidden activations fit.

        Followed by the LayerNorm of the next block, or the last one; or by the STORE of the tokens.
        """
        plan, layers = self.plan, self.layers
        if plan.is_last(block):
            then = self.store_tokens if plan.shape.dense else layers.norm("norm")
        else:
            then = layers.norm(f"blocks.{block + 1}.norm1")
        parts, tables = plan.expansion_parts(block), self.gelu_tables(block)
        second = parts[-1].first if len(tables) > 1 else plan.hidden_tiles(block)
        tiles = plan.output_tiles(block)
        groups = evenly(tiles, divide_up(len(tiles), plan.mlp_tiles(block)))
        fc1_blocks, fc2_blocks = (
            per_group(layers.weight_blocks(*pieces), len(groups))
            for pieces in (parts, [all_rows(plan.layers(block)["fc2"])])
        )

        def table(run: RowRun) -> GeluRequest:
            return tables[run.first >= second]

        for group, expand, contract in zip(groups, fc1_blocks, fc2_blocks, strict=True):
            first = group[0].index
            fc1 = self.expansion(block, first, table)
            yield from times(expand, group, fc1, lambda run, tile: (table(run),))
            yield from times(contract, group, self.contraction(block, first), then=then)

    def gelu_tables(self, block: int) -> list[GeluRequest]:
        """A block's one or two tables. They take the two places in turn.

        So the next block's table is loaded meanwhile, or once the block's first one is done with.
        """
        tables = []
        for table in range(1 if self.plan.shape.blocks[block].first_table_units is None else 2):
            tables.append(GeluRequest(self.layers.constants.gelu(block, table), self.next_table))
            self.next_table = 1 - self.next_table
        return tables

    def expansion(
        self, block: int, first: int, table: Callable[[RowRun], GeluRequest]
    ) -> Callable[[RowRun, TokenTile], Operation]:
        """Return a function that makes MATMULs of fc1; ``first`` is the first tile of the group."""
        layers, tensor = self.layers, f"blocks.{block}.hidden"

        def fc1(run: RowRun, tile: TokenTile) -> Operation:
            operands, writes, _ = layers.to_activations(run, self.hidden(block, tile, first))
            gelu = {"format": Format.INT8, "gelu": 1, "gelu_table": table(run).table}
            writeback = Writeback(operands | gelu, writes, reads=(table(run).span,))
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

    def store_tokens(self, tile: TokenTile) -> list[Pending]:
        """The residual words of a tile, which nobody writes any more, to memory."""
        plan, first = self.plan, tile.tokens.start
        operands = {
            "base": Base.OUTPUT,
            "offset": (first - plan.shape.final_tokens.start) * plan.token_bytes,
            "source_address": plan.residual_word(first),
            "token": first,
            "row_words": plan.token_words,
            "more_words": (tile.lane_count - 1) * plan.token_words,
            "int16": 1,
        }
        block = len(plan.shape.blocks) - 1
        subject = Subject("store", f"blocks.{block}.output", "", block, tile)
        return [Pending(Operation(Opcode.STORE, operands, (residual_tokens(tile),), (), subject))]

    def classifier(self) -> Iterator[Pending]:
        """Logits of the class token or of the mean, part by part: scratchpad, then STORE."""
        plan, places = self.plan, LogitPlaces(self.plan)
        for number, part in enumerate(plan.logit_parts):
            address = places.address(number)
            head = self.logits(address - part.first, places.written(number))
            yield from times(self.layers.weight_blocks(part), (plan.head_tile,), head)
            operands = {
                "base": Base.OUTPUT,
                "offset": part.first * plan.engine.logit_word_bytes,
                "source_address": address,
                "token": plan.head_tile.tokens.start,
                "row_words": part.count,
            }
            subject = Subject("store", "logits", "", tile=plan.head_tile, row_tile=part.first)
            yield Pending(Operation(Opcode.STORE, operands, places.stored(number), (), subject))

    def logits(
        self, address: int, written: tuple[Span, ...]
    ) -> Callable[[RowRun, TokenTile], Operation]:
        """Return a function that makes MATMULs of the head; row tile 0 would be at ``address``."""
        source = head_input(self.plan)

        def head(run: RowRun, tile: TokenTile) -> Operation:
            operands = {
                "destination": Destination.RESIDUAL,
                "format": Format.INT16,
                "accumulate": 0,
                "destination_address": address + run.first,
                "destination_stride": 0,  # so that the token's group does not matter
            }
            writeback = Writeback(operands, written)
            return self.layers.matmul("head", "logits", run, tile, source, writeback)

        return head


def all_rows(layer: TiledMatrix) -> RowTiles:
    """All row tiles of a layer."""
    return RowTiles(layer, 0, layer.row_tiles)
