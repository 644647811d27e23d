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
from rtl.compiler.operations import Operation, Region, Space, Subject
from rtl.compiler.requests import GeluTable, Preload
from rtl.compiler.runs import Run
from rtl.compiler.sizes import Sizes, Tile, divide_up, evenly
from rtl.isa.instructions import Activations, Base, Destination, Format, Opcode


class Network:
    """Lists a network's computing operations, each with the requests that it needs.

    Every method yields operations in the order of the program. LOADs are not among them:
    :mod:`rtl.compiler.prefetch` puts them in.

    Parameters
    ----------
    sizes : Sizes
    """

    def __init__(self, sizes: Sizes):
        self.sizes = sizes
        self.layers = Layers(sizes)

    def operations(self) -> Iterator[Operation]:
        """All of them, from the first strip of pixels to the logits."""
        yield from self.embedding()
        for block in range(len(self.sizes.shape.blocks)):
            yield from Attention(self.layers, block).operations()
            yield from self.projection(block)
            yield from self.mlp(block)
        if self.sizes.shape.mean_pool:
            yield from Pooling(self.layers).operations()
        yield from self.classifier()

    def embedding(self) -> Iterator[Operation]:
        """Patches times weights, added to the position that was preloaded; the first LayerNorm."""
        sizes, layers, pixels = self.sizes, self.layers, Pixels(self.sizes)
        norm = layers.norm("blocks.0.norm1")
        blocks = layers.weight_blocks([(sizes.embed, 0, sizes.embed.row_tiles)])
        position = layers.constants.position()
        preloads = [Preload(position, tile) for tile in sizes.all_tiles]

        def embed(run: Run, tile: Tile) -> Operation:
            operation = layers.to_residual("embed", "embed", run, tile, pixels.patches(tile))
            operation.operands |= {"activations": Activations.PIXELS}
            operation.needs = (preloads[tile.index], *pixels.strips(tile))
            return operation

        def normalize(tile: Tile) -> Operation:
            return norm(sizes.tile(tile.index))  # the class token too, if it is in this tile

        groups = list(pixels.groups())
        for group, group_blocks in zip(groups, per_group(blocks, len(groups)), strict=True):
            yield from times(group_blocks, group, embed, then=normalize)
        if len(sizes.patch_tiles) < len(sizes.all_tiles):  # the class token has its own tile
            operation = norm(sizes.all_tiles[-1])
            operation.needs += (preloads[-1],)
            yield operation

    def projection(self, block: int) -> Iterator[Operation]:
        """The heads' context back to the residual stream, then the block's second LayerNorm."""
        sizes, layers = self.sizes, self.layers
        layer, layout = sizes.layers(block)["proj"], AttentionLayout(sizes, block)
        norm = layers.norm(f"blocks.{block}.norm2")

        def project(run: Run, tile: Tile) -> Operation:
            context = layout.queries(tile)  # over Q
            return layers.to_residual("proj", f"blocks.{block}.attended", run, tile, context)

        blocks = layers.weight_blocks([(layer, 0, layer.row_tiles)])
        yield from times(blocks, sizes.query_tiles(block), project, then=norm)

    def mlp(self, block: int) -> Iterator[Operation]:
        """Fc1 and fc2, for as many token tiles at a time as hidden activations fit.

        Followed by the LayerNorm of the next block, or the last one.
        """
        sizes, layers = self.sizes, self.layers
        norm = layers.norm("norm" if sizes.is_last(block) else f"blocks.{block + 1}.norm1")
        # Blocks take turns with the two tables, so that the next one is loaded meanwhile.
        table = GeluTable(layers.constants.gelu(block), block % 2)
        tiles = sizes.query_tiles(block)
        groups = evenly(tiles, divide_up(len(tiles), sizes.mlp_tiles(block)))
        fc1_blocks, fc2_blocks = (
            per_group(layers.weight_blocks([(layer, 0, layer.row_tiles)]), len(groups))
            for layer in (sizes.layers(block)["fc1"], sizes.layers(block)["fc2"])
        )
        hidden_tiles = sizes.hidden_tiles(block)
        for group, expand, contract in zip(groups, fc1_blocks, fc2_blocks, strict=True):

            def hidden(tile: Tile, first: int = group[0].index) -> Region:
                address = sizes.norm_words + (tile.index - first) * hidden_tiles
                return words(sizes, address, hidden_tiles)

            def fc1(run: Run, tile: Tile) -> Operation:
                tensor = f"blocks.{block}.hidden"
                operation = layers.to_activations("fc1", tensor, run, tile, hidden(tile))
                operation.operands |= {"format": Format.INT8, "gelu": 1, "gelu_table": table.table}
                operation.reads.append(table.region)
                operation.needs = (table,)
                return operation

            def fc2(run: Run, tile: Tile) -> Operation:
                tensor = f"blocks.{block}.output"
                return layers.to_residual("fc2", tensor, run, tile, hidden(tile))

            yield from times(expand, group, fc1)
            yield from times(contract, group, fc2, then=norm)

    def classifier(self) -> Iterator[Operation]:
        """Logits of the class token or of the mean, into the residual scratchpad; then STORE."""
        sizes, layers = self.sizes, self.layers
        first = logits_address(sizes)
        behind = first >= sizes.residual_words  # or over tokens, which ones is not worth knowing
        logits = Region(Space.RESIDUAL, sizes.tokens if behind else 0, sizes.tokens + 1)

        def head(run: Run, tile: Tile) -> Operation:
            operation = layers.matmul("head", "logits", run, tile, head_input(sizes))
            operation.operands |= {
                "destination": Destination.RESIDUAL,
                "format": Format.INT16,
                "accumulate": 0,
                "destination_address": first + run.first,
                "destination_stride": 0,  # so that the token's group does not matter
            }
            operation.writes.append(logits)
            return operation

        blocks = layers.weight_blocks([(sizes.head, 0, sizes.head.row_tiles)])
        yield from times(blocks, (sizes.head_tile,), head)
        operands = {
            "base": Base.OUTPUT,
            "offset": 0,
            "source_address": first,
            "token": sizes.tokens - 1,
            "row_words": sizes.class_tiles,
        }
        subject = Subject("store", "logits", "", tile=sizes.head_tile)
        yield Operation(Opcode.STORE, operands, [logits], [], subject)
