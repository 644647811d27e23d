"""The network top to bottom: in which order operations are listed, and why.

Matrices run row blocks (what the weight ring holds at a time) outside, token tiles inside; within
an instruction, row tiles. So every weight is fetched once, for all tiles, and the ring frees block
by block. A LayerNorm follows, tile by tile, the last matmul that writes its input: the norm unit
works on tile t while the array multiplies tile t + 1.

Where on-chip memory does not hold all tiles (pixels in the embedding, hidden activations in the
MLP), tiles are cut into groups and the weights are fetched again for each group.

Constants take their place in the MODEL region in the order in which this module asks for them.
"""

from collections.abc import Iterator

from rtl.compiler.lowering.attention import Attention
from rtl.compiler.lowering.layers import Layers, per_group, times
from rtl.compiler.lowering.layout import AttentionLayout, head_input, logits_address, words
from rtl.compiler.lowering.pixels import Pixels
from rtl.compiler.lowering.pooling import Pooling
from rtl.compiler.operations import MemorySpace, Operation, Region, Subject
from rtl.compiler.requests import GeluTable, Preload
from rtl.compiler.runs import RowRun
from rtl.compiler.sizes import Plan, TokenTile, divide_up, evenly
from rtl.isa.instructions import Activations, Base, Destination, Format, Opcode


class Network:
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

    def operations(self) -> Iterator[Operation]:
        """All of them, from the first strip of pixels to the logits."""
        yield from self.embedding()
        for block in range(len(self.plan.shape.blocks)):
            yield from Attention(self.layers, block).operations()
            yield from self.projection(block)
            yield from self.mlp(block)
        if self.plan.shape.mean_pool:
            yield from Pooling(self.layers).operations()
        yield from self.classifier()

    def embedding(self) -> Iterator[Operation]:
        """Patches times weights, added to the position that was preloaded; the first LayerNorm."""
        plan, layers, pixels = self.plan, self.layers, Pixels(self.plan)
        norm = layers.norm("blocks.0.norm1")
        blocks = layers.weight_blocks([(plan.embed, 0, plan.embed.row_tiles)])
        position = layers.constants.position()
        preloads = [Preload(position, tile) for tile in plan.all_tiles]

        def embed(run: RowRun, tile: TokenTile) -> Operation:
            operation = layers.to_residual("embed", "embed", run, tile, pixels.patches(tile))
            operation.operands |= {"activations": Activations.PIXELS}
            operation.needs = (preloads[tile.index], *pixels.strips(tile))
            return operation

        def normalize(tile: TokenTile) -> Operation:
            return norm(plan.tile(tile.index))  # the class token too, if it is in this tile

        groups = list(pixels.groups())
        for group, group_blocks in zip(groups, per_group(blocks, len(groups)), strict=True):
            yield from times(group_blocks, group, embed, then=normalize)
        if len(plan.patch_tiles) < len(plan.all_tiles):  # the class token has its own tile
            operation = norm(plan.all_tiles[-1])
            operation.needs += (preloads[-1],)
            yield operation

    def projection(self, block: int) -> Iterator[Operation]:
        """The heads' context back to the residual stream, then the block's second LayerNorm."""
        plan, layers = self.plan, self.layers
        layer, layout = plan.layers(block)["proj"], AttentionLayout(plan, block)
        norm = layers.norm(f"blocks.{block}.norm2")

        def project(run: RowRun, tile: TokenTile) -> Operation:
            context = layout.queries(tile)  # over Q
            return layers.to_residual("proj", f"blocks.{block}.attended", run, tile, context)

        blocks = layers.weight_blocks([(layer, 0, layer.row_tiles)])
        yield from times(blocks, plan.query_tiles(block), project, then=norm)

    def mlp(self, block: int) -> Iterator[Operation]:
        """Fc1 and fc2, for as many token tiles at a time as hidden activations fit.

        Followed by the LayerNorm of the next block, or the last one.
        """
        plan, layers = self.plan, self.layers
        norm = layers.norm("norm" if plan.is_last(block) else f"blocks.{block + 1}.norm1")
        # Blocks take turns with the two tables, so that the next one is loaded meanwhile.
        table = GeluTable(layers.constants.gelu(block), block % 2)
        tiles = plan.query_tiles(block)
        groups = evenly(tiles, divide_up(len(tiles), plan.mlp_tiles(block)))
        fc1_blocks, fc2_blocks = (
            per_group(layers.weight_blocks([(layer, 0, layer.row_tiles)]), len(groups))
            for layer in (plan.layers(block)["fc1"], plan.layers(block)["fc2"])
        )
        hidden_tiles = plan.hidden_tiles(block)
        for group, expand, contract in zip(groups, fc1_blocks, fc2_blocks, strict=True):

            def hidden(tile: TokenTile, first: int = group[0].index) -> Region:
                address = plan.norm_words + (tile.index - first) * hidden_tiles
                return words(plan, address, hidden_tiles)

            def fc1(run: RowRun, tile: TokenTile) -> Operation:
                tensor = f"blocks.{block}.hidden"
                operation = layers.to_activations("fc1", tensor, run, tile, hidden(tile))
                operation.operands |= {"format": Format.INT8, "gelu": 1, "gelu_table": table.table}
                operation.reads.append(table.region)
                operation.needs = (table,)
                return operation

            def fc2(run: RowRun, tile: TokenTile) -> Operation:
                tensor = f"blocks.{block}.output"
                return layers.to_residual("fc2", tensor, run, tile, hidden(tile))

            yield from times(expand, group, fc1)
            yield from times(contract, group, fc2, then=norm)

    def classifier(self) -> Iterator[Operation]:
        """Logits of the class token or of the mean, into the residual scratchpad; then STORE."""
        plan, layers = self.plan, self.layers
        first = logits_address(plan)
        behind = first >= plan.residual_words  # or over tokens, which ones is not worth knowing
        logits = Region(MemorySpace.RESIDUAL, plan.tokens if behind else 0, plan.tokens + 1)

        def head(run: RowRun, tile: TokenTile) -> Operation:
            operation = layers.matmul("head", "logits", run, tile, head_input(plan))
            operation.operands |= {
                "destination": Destination.RESIDUAL,
                "format": Format.INT16,
                "accumulate": 0,
                "destination_address": first + run.first,
                "destination_stride": 0,  # so that the token's group does not matter
            }
            operation.writes.append(logits)
            return operation

        blocks = layers.weight_blocks([(plan.head, 0, plan.head.row_tiles)])
        yield from times(blocks, (plan.head_tile,), head)
        operands = {
            "base": Base.OUTPUT,
            "offset": 0,
            "source_address": first,
            "token": plan.tokens - 1,
            "row_words": plan.class_tiles,
        }
        subject = Subject("store", "logits", "", tile=plan.head_tile)
        yield Operation(Opcode.STORE, operands, [logits], [], subject)
