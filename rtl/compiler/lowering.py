"""A network's shape to operations: the order of computing, and where everything lies.

Row blocks (what the weight ring holds) outside, token tiles inside; within an instruction, row
tiles. A LayerNorm follows, tile by tile, the last matmul that writes its input. Attention is
pipelined: scores of the next tile are multiplied before the context of this one, and the
projections of the next heads to Q, K and V are spread among them, so that softmax has time.

Activations have two parts. The lower one holds LayerNorm outputs, one place per token tile. The
upper one holds Q, which the context overwrites head by head, and attention weights; in the MLP,
the hidden activations of as many token tiles as fit.

The values of constants are not needed, see :mod:`rtl.compiler.bind`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from rtl.compiler.constants import Constants, cut_into_blocks
from rtl.compiler.operations import Operation, Program, Region, Space, Subject
from rtl.compiler.prefetch import prefetch
from rtl.compiler.requests import Exponents, GeluTable, Preload, Run, Strip, WeightBlock
from rtl.compiler.sizes import LayerSizes, Sizes, Tile, divide_up
from rtl.compiler.synchronise import synchronise
from rtl.control.isa import Activations, Base, Destination, Format, Opcode, Weights

RING_PARTS = 4  # a weight block takes at most this part of the ring
HEAD_GROUPS = 3  # the heads of a block are projected in about as many groups


def lower(sizes: Sizes) -> Program:
    """Operations of a network that :func:`rtl.compiler.limits.check` accepts."""
    lowering = _Lowering(sizes)
    lowering.network()
    operations = [
        Operation(Opcode.BEGIN, {}, [], [], Subject("begin", "", "")),
        *prefetch(lowering.compute, sizes),
        Operation(Opcode.END, {}, [], [], Subject("end", "", "")),
    ]
    operations[0].operands |= {"engine": sizes.engine.hash, "instructions": len(operations)}
    synchronise(operations)
    return Program(sizes, operations, lowering.constants.chunks, lowering.constants.bytes)


class _Lowering:
    """Lists computing operations, and the requests that they need."""

    def __init__(self, sizes: Sizes):
        self.sizes = sizes
        self.engine = sizes.engine
        self.granules = sizes.engine.granules
        self.constants = Constants(sizes)
        self.compute: list[Operation] = []
        self.upper = sizes.norm_words  # first word of the upper part of the activations
        self.block_words = max(1, sizes.engine.weight_words // RING_PARTS)

    # ------------------------------------------------------------ the network, top down

    def network(self) -> None:
        self.embedding()
        for block in range(len(self.sizes.shape.blocks)):
            self.attention(block)
            self.projection(block)
            self.mlp(block)
        self.classifier()

    def embedding(self) -> None:
        sizes = self.sizes
        norm = self.norm("blocks.0.norm1")
        tiles = sizes.patch_tiles
        blocks = self.weight_blocks([(sizes.embed, 0, sizes.embed.row_tiles)])
        position = self.constants.position()
        preloads = [Preload(position, tile) for tile in sizes.all_tiles]
        place, strips = self.pixel_strips()
        groups = list(self.pixel_groups(tiles))
        for group, group_blocks in zip(groups, self.per_group(blocks, len(groups)), strict=True):

            def embed(run: Run, tile: Tile) -> Operation:
                operation = self.to_residual(
                    "embed", run, tile, place(tile.index) * sizes.patch_words
                )
                operation.operands |= {"activations": Activations.PIXELS}
                operation.needs += (preloads[tile.index], *strips[tile.index])
                return operation

            self.linear(group_blocks, group, embed, then=lambda tile: norm(sizes.tile(tile.index)))
        if len(tiles) < len(sizes.all_tiles):  # the class token has a tile of its own
            norm(sizes.all_tiles[-1])
            self.compute[-1].needs += (preloads[-1],)

    def attention(self, block: int) -> None:
        """Q, K, V, scores, softmax and context, pipelined over groups of heads."""
        attention = _Attention(self, block, self.queries(block))
        for operation in attention.operations():
            self.compute.append(operation)

    def projection(self, block: int) -> None:
        layer = self.sizes.layers(block)["proj"]
        norm = self.norm(f"blocks.{block}.norm2")
        inner = self.sizes.inner_tiles(block)

        def project(run: Run, tile: Tile) -> Operation:
            return self.to_residual("proj", run, tile, self.upper + tile.index * inner)

        blocks = self.weight_blocks([(layer, 0, layer.row_tiles)])
        self.linear(blocks, self.queries(block), project, then=norm)

    def mlp(self, block: int) -> None:
        """Fc1 and fc2, for as many token tiles at a time as hidden activations fit."""
        sizes = self.sizes
        layers = sizes.layers(block)
        last = block == len(sizes.shape.blocks) - 1
        norm = self.norm("norm" if last else f"blocks.{block + 1}.norm1")
        table = GeluTable(self.constants.gelu(block), block % 2)
        groups = list(_evenly(self.queries(block), sizes.mlp_tiles(block)))
        fc1, fc2 = (
            self.per_group(self.weight_blocks([(layer, 0, layer.row_tiles)]), len(groups))
            for layer in (layers["fc1"], layers["fc2"])
        )
        words = sizes.hidden_tiles(block)
        for group, expand, contract in zip(groups, fc1, fc2, strict=True):

            def hidden(tile: Tile, first: int = group[0].index) -> int:
                return self.upper + (tile.index - first) * words

            def fc1_of(run: Run, tile: Tile) -> Operation:
                operation = self.to_activations("fc1", run, tile, hidden(tile))
                operation.subject = operation.subject._replace(tensor=f"blocks.{block}.hidden")
                operation.operands |= {"format": Format.INT8, "gelu": 1, "gelu_table": table.table}
                operation.reads.append(table.region)
                operation.needs += (table,)
                return operation

            def fc2_of(run: Run, tile: Tile) -> Operation:
                return self.to_residual("fc2", run, tile, hidden(tile))

            self.linear(expand, group, fc1_of)
            self.linear(contract, group, fc2_of, then=norm)

    def classifier(self) -> None:
        sizes = self.sizes
        layer = sizes.head
        first = self.logits_address()
        behind = first >= sizes.residual_words
        logits = Region(Space.RESIDUAL, sizes.tokens if behind else 0, sizes.tokens + 1)

        def head(run: Run, tile: Tile) -> Operation:
            operation = self.to_residual("head", run, tile, self.norm_address(tile.index))
            operation.operands |= {
                "destination_address": first + run.first,
                "destination_stride": 0,
                "accumulate": 0,
            }
            operation.reads = [r for r in operation.reads if r.space is not Space.RESIDUAL]
            operation.writes = [logits]
            operation.subject = operation.subject._replace(tensor="logits")
            return operation

        blocks = self.weight_blocks([(layer, 0, layer.row_tiles)])
        self.linear(blocks, (sizes.class_tile,), head)
        operands = {
            "base": Base.OUTPUT,
            "offset": 0,
            "source_address": first,
            "token": sizes.tokens - 1,
            "row_words": sizes.class_tiles,
        }
        subject = Subject("store", "logits", "", tile=sizes.class_tile)
        self.compute.append(Operation(Opcode.STORE, operands, [logits], [], subject))

    # ------------------------------------------------------------ pieces

    def queries(self, block: int) -> tuple[Tile, ...]:
        """Tiles that a block computes: in the last one, the class token."""
        last = block == len(self.sizes.shape.blocks) - 1
        return (self.sizes.class_tile,) if last else self.sizes.all_tiles

    def weight_blocks(self, pieces: list[tuple[LayerSizes, int, int]]) -> list[WeightBlock]:
        blocks = []
        for runs in cut_into_blocks(pieces, self.sizes, self.block_words):
            blocks.append(WeightBlock(runs, *self.constants.weights(runs)))
        return blocks

    def per_group(self, blocks: list[WeightBlock], groups: int) -> list[list[WeightBlock]]:
        """Weight blocks for each of several groups of token tiles: loaded again for each."""
        return [blocks, *([block.again() for block in blocks] for _ in range(groups - 1))]

    def linear(
        self,
        blocks: Sequence[WeightBlock],
        tiles: Sequence[Tile],
        build: Callable[[Run, Tile], Operation],
        then: Callable[[Tile], None] | None = None,
    ) -> None:
        """All row blocks times all tiles; ``then`` follows the last row block tile by tile."""
        for block in blocks:
            for tile in tiles:
                self.compute += [build(run, tile) for run in block.runs]
                if then and block is blocks[-1]:
                    then(tile)

    def norm_address(self, tile: int) -> int:
        return tile * self.sizes.width_tiles

    def norm(self, name: str) -> Callable[[Tile], None]:
        """A function that appends a LayerNorm's operation for a tile."""
        sizes = self.sizes
        request = Exponents(self.constants.exponents(name), sizes.width_tiles)
        subject = Subject("norm", name, name)

        def append(tile: Tile) -> None:
            operands = {
                "source_address": tile.token // 4 * sizes.width_tiles,
                "source_stride": sizes.width_tiles,
                "row_words": sizes.width_tiles,
                "token": tile.token,
                "lane_first": tile.lane_first,
                "lane_count": tile.lane_count,
                "destination_address": self.norm_address(tile.index),
                "width": sizes.shape.width,
            }
            reads = [token_region(tile)]
            writes = [self.words(self.norm_address(tile.index), sizes.width_tiles)]
            self.compute.append(
                Operation(
                    Opcode.NORM, operands, reads, writes, subject._replace(tile=tile), (request,)
                )
            )

        return append

    def words(self, address: int, count: int) -> Region:
        """Whole activation words as a region (of granules)."""
        return Region(Space.ACTIVATIONS, address * self.granules, (address + count) * self.granules)

    def matmul(self, kind: str, tensor: str, run: Run, tile: Tile, source: Region) -> Operation:
        """A multiplication by weights; the destination is added by the caller."""
        layer = run.layer
        operands = {
            "weights": Weights.RING,
            "activation_address": source.start,
            "depth_words": layer.depth_words,
            "row_tiles": run.count,
            "wide": run.wide,
            "token": tile.token,
            "lane_first": tile.lane_first,
            "lane_count": tile.lane_count,
        }
        subject = Subject(kind, tensor, layer.name, _block_of(layer.name), tile, -1, run.first)
        return Operation(Opcode.MATMUL, operands, [source], [], subject, (run.block,), run)

    def to_residual(self, kind: str, run: Run, tile: Tile, address: int) -> Operation:
        """A layer that adds to the residual stream; ``address`` is the word of its input."""
        space = Space.PIXELS if kind == "embed" else Space.ACTIVATIONS
        step = 1 if kind == "embed" else self.granules
        source = Region(space, address * step, address * step + run.layer.depth_words)
        prefix = run.layer.name.rpartition(".")[0]
        tensor = {"proj": f"{prefix}.attended", "fc2": f"{prefix}.output"}.get(kind, kind)
        operation = self.matmul(kind, tensor, run, tile, source)
        stride = self.sizes.width_tiles
        operation.operands |= {
            "destination": Destination.RESIDUAL,
            "format": Format.INT16,
            "accumulate": 1,
            "destination_address": tile.token // 4 * stride + run.first,
            "destination_stride": stride,
        }
        region = token_region(tile)
        operation.reads.append(region)
        operation.writes.append(region)
        return operation

    def to_activations(self, kind: str, run: Run, tile: Tile, address: int) -> Operation:
        """A layer on a LayerNorm's output whose result is codes; ``address`` is theirs."""
        source = self.words(self.norm_address(tile.index), self.sizes.width_tiles)
        operation = self.matmul(kind, run.layer.name, run, tile, source)
        operation.operands |= {
            "destination": Destination.ACTIVATIONS,
            "format": Format.ACT_SIGNED,
            "destination_address": address + run.first,
            "mask_first": 0,
            "mask_count": run.count * self.granules,
        }
        operation.writes.append(self.words(address + run.first, run.count))
        return operation

    def logits_address(self) -> int:
        """Behind the residual stream, or over tokens that nobody needs any more."""
        sizes = self.sizes
        free = self.engine.residual_words - sizes.class_tiles
        return min(sizes.residual_words, free)

    # ------------------------------------------------------------ pixels

    def pixel_strips(self) -> tuple[Callable[[int], int], list[tuple[Strip, ...]]]:
        """Place of each token tile in the pixel banks, and the strips that each needs."""
        sizes = self.sizes
        chain = min(sizes.chain_tiles, len(sizes.patch_tiles))
        chains = self.engine.pixel_words // sizes.chain_words

        def place(tile: int) -> int:
            return tile // sizes.chain_tiles % chains * chain + tile % sizes.chain_tiles

        across, lanes = sizes.shape.grid[1], self.engine.token_lanes
        needed: list[tuple[Strip, ...]] = [()] * len(sizes.patch_tiles)
        for index in range(sizes.shape.grid[0]):
            first, last = index * across, (index + 1) * across - 1
            tiles = range(first // lanes, last // lanes + 1)
            strip = Strip(index, tiles, place(tiles.start), sizes)
            for tile in tiles:
                needed[tile] += (strip,)
        return place, needed

    def pixel_groups(self, tiles: tuple[Tile, ...]) -> Iterator[tuple[Tile, ...]]:
        """Tiles whose pixels are kept while all rows of the embedding are computed."""
        sizes = self.sizes
        chains = self.engine.pixel_words // sizes.chain_words
        total = divide_up(len(tiles), sizes.chain_tiles)
        step = len(tiles) if chains >= total else sizes.chain_tiles * max(1, chains // 2)
        for first in range(0, len(tiles), step):
            yield tiles[first : first + step]


class _Attention:
    """One block's attention: groups of heads, each with Q, K, V projections and items.

    An item is one head and one token tile: scores, softmax, context.
    """

    def __init__(self, lowering: _Lowering, block: int, queries: tuple[Tile, ...]):
        self.lowering = lowering
        self.sizes = sizes = lowering.sizes
        self.block = block
        self.queries = queries
        self.layers = sizes.layers(block)
        self.heads = sizes.shape.blocks[block].heads
        self.inner = sizes.inner_tiles(block)
        self.weights_address = lowering.upper + sizes.tiles * self.inner
        self.group_heads, self.slots = self.grouping()
        self.group_tiles = divide_up(self.group_heads * sizes.head_rows, sizes.engine.row_lanes)
        self.items = 0

    def grouping(self) -> tuple[int, int]:
        """Heads in a group, and groups that fit the key and value banks at a time (1 or 2)."""
        sizes = self.sizes
        unit = sizes.unit_tiles(self.block)
        fit = sizes.key_value_tiles() // unit
        units = divide_up(self.heads, sizes.unit_heads)
        group = max(1, min(divide_up(units, HEAD_GROUPS), fit // 2))
        return min(group * sizes.unit_heads, self.heads), 2 if fit >= 2 * group else 1

    def operations(self) -> Iterator[Operation]:
        groups = range(divide_up(self.heads, self.group_heads))
        yield from self.projections(0)
        pending: Operation | None = None  # the context that belongs to the latest softmax
        for group in groups:
            more = group + 1 in groups
            ahead = list(self.projections(group + 1)) if more and self.slots == 2 else []
            for scores, softmax, context, filler in self.interleave(group, ahead):
                yield scores
                yield softmax
                yield from filler[0]
                if pending:
                    yield pending
                yield from filler[1]
                pending = context
            if more and self.slots == 1:
                assert pending
                yield pending
                pending = None
                yield from self.projections(group + 1)
        if pending:
            yield pending

    def interleave(self, group: int, filler: list[Operation]) -> Iterator[tuple]:
        """Items of a group, each with its share of ``filler``: (before, after) the context.

        The first item's share comes after the context, which still reads the values that the
        filler overwrites.
        """
        items = [(head, tile) for head in self.heads_of(group) for tile in self.queries]
        done = 0
        for i, (head, tile) in enumerate(items):
            upto = len(filler) * (i + 1) // len(items)
            share = filler[done:upto]
            done = upto
            yield (*self.item(group, head, tile), ([], share) if i == 0 else (share, []))

    def heads_of(self, group: int) -> range:
        first = group * self.group_heads
        return range(first, min(first + self.group_heads, self.heads))

    # ------------------------------------------------------------ projections

    def tiles_of(self, group: int) -> tuple[int, int]:
        """First row tile and row tiles of a group in Q, K and V."""
        first = group * self.group_tiles
        return first, min(self.group_tiles, self.inner - first)

    def projections(self, group: int) -> Iterable[Operation]:
        first, count = self.tiles_of(group)
        pieces = [(self.layers[name], first, count) for name in "kvq"]
        for block in self.lowering.weight_blocks(pieces):
            for tile in self.sizes.all_tiles:
                for run in block.runs:
                    yield from self.project(run, tile, group)

    def project(self, run: Run, tile: Tile, group: int) -> Iterator[Operation]:
        name = run.layer.name[-1]
        if name != "q":
            yield self.project_keys_or_values(run, tile, group)
        else:
            for query in self.queries:
                if query.index == tile.index:
                    address = self.lowering.upper + tile.index * self.inner
                    yield self.lowering.to_activations("qkv", run, query, address)

    def project_keys_or_values(self, run: Run, tile: Tile, group: int) -> Operation:
        keys = run.layer.name[-1] == "k"
        lowering, sizes = self.lowering, self.sizes
        source = lowering.words(lowering.norm_address(tile.index), sizes.width_tiles)
        operation = lowering.matmul("qkv", run.layer.name, run, tile, source)
        region = self.key_region(group) if keys else self.value_region(group)
        first, stride = self.tiles_of(group)
        lanes = sizes.engine.row_lanes if keys else sizes.engine.depth_lanes
        operation.operands |= {
            "destination": Destination.KEYS if keys else Destination.VALUES,
            "format": Format.INT8,
            "destination_address": region.start + tile.token // lanes * stride + run.first - first,
            "destination_stride": stride,
        }
        operation.writes.append(region)
        return operation

    def key_region(self, group: int) -> Region:
        words = self.sizes.key_tiles * self.group_tiles
        start = group % self.slots * words
        return Region(Space.KEYS, start, start + words)

    def value_region(self, group: int) -> Region:
        words = self.sizes.value_depth * self.group_tiles
        start = group % self.slots * words
        return Region(Space.VALUES, start, start + words)

    # ------------------------------------------------------------ items

    def item(self, group: int, head: int, tile: Tile) -> tuple[Operation, Operation, Operation]:
        slot = self.items % 2
        self.items += 1
        return (
            self.scores(group, head, tile, slot),
            self.softmax(head, tile, slot),
            self.context(group, head, tile, slot),
        )

    def subject(self, kind: str, tensor: str, tile: Tile, head: int) -> Subject:
        name = f"blocks.{self.block}.{tensor}"
        return Subject(kind, name, name, self.block, tile, head)

    def score_region(self, slot: int) -> Region:
        """The slots share their words if the ring holds only one tile."""
        words = self.sizes.score_slot_words
        start = slot * words if 2 * words <= self.sizes.engine.score_words else 0
        return Region(Space.SCORES, start, start + words)

    def weights_region(self, slot: int) -> Region:
        """Attention weights of a slot, among the activations."""
        return self.lowering.words(
            self.weights_address + slot * self.sizes.key_tiles, self.sizes.key_tiles
        )

    def head_granules(self, tile: Tile, head: int) -> Region:
        """Q, later the context, of one head and token tile."""
        start = (self.lowering.upper + tile.index * self.inner) * self.lowering.granules
        start += head * self.sizes.head_depth
        return Region(Space.ACTIVATIONS, start, start + self.sizes.head_depth)

    def scores(self, group: int, head: int, tile: Tile, slot: int) -> Operation:
        sizes, granules = self.sizes, self.lowering.granules
        query, keys, scores = (
            self.head_granules(tile, head),
            self.key_region(group),
            self.score_region(slot),
        )
        within = head - group * self.group_heads
        operands = {
            "act_signed": 1,
            "activation_address": query.start,
            "depth_words": sizes.head_depth,
            "weights": Weights.KEYS,
            "weight_address": keys.start * granules + within * sizes.head_depth,
            "weight_step": self.tiles_of(group)[1] * granules,
            "row_tiles": sizes.key_tiles,
            "destination": Destination.SCORES,
            "slot": slot,
            "destination_address": scores.start,
            "destination_stride": sizes.key_tiles,
            "token": tile.token,
            "lane_first": tile.lane_first,
            "lane_count": tile.lane_count,
            "keys": sizes.tokens,
        }
        return Operation(
            Opcode.MATMUL,
            operands,
            [query, keys],
            [scores, Region(Space.MAXIMA, slot, slot + 1)],
            self.subject("scores", "scores", tile, head),
        )

    def softmax(self, head: int, tile: Tile, slot: int) -> Operation:
        scores, weights = self.score_region(slot), self.weights_region(slot)
        operands = {
            "source_address": scores.start,
            "source_stride": self.sizes.key_tiles,
            "key_words": self.sizes.key_tiles,
            "keys": self.sizes.tokens,
            "lane_first": tile.lane_first,
            "lane_count": tile.lane_count,
            "destination_address": weights.start // self.lowering.granules,
            "slot": slot,
        }
        return Operation(
            Opcode.SOFTMAX,
            operands,
            [scores, Region(Space.MAXIMA, slot, slot + 1)],
            [weights, Region(Space.SCALES, slot, slot + 1)],
            self.subject("softmax", "attention", tile, head),
        )

    def context(self, group: int, head: int, tile: Tile, slot: int) -> Operation:
        sizes, lowering = self.sizes, self.lowering
        weights, values = self.weights_region(slot), self.value_region(group)
        result = self.head_granules(tile, head)
        first_tile, stride = self.tiles_of(group)
        first, mask_first = divmod(head * sizes.head_depth, lowering.granules)
        last = ((head + 1) * sizes.head_depth - 1) // lowering.granules
        operands = {
            "activation_address": weights.start,
            "depth_words": sizes.value_depth,
            "weights": Weights.VALUES,
            "weight_address": values.start + first - first_tile,
            "weight_step": stride,
            "row_tiles": last - first + 1,
            "destination": Destination.ACTIVATIONS,
            "format": Format.ACT_SIGNED,
            "token_scale": 1,
            "slot": slot,
            "destination_address": lowering.upper + tile.index * self.inner + first,
            "token": tile.token,
            "lane_first": tile.lane_first,
            "lane_count": tile.lane_count,
            "mask_first": mask_first,
            "mask_count": sizes.head_depth,
        }
        read = Region(Space.ACTIVATIONS, weights.start, weights.start + sizes.value_depth)
        return Operation(
            Opcode.MATMUL,
            operands,
            [read, values, Region(Space.SCALES, slot, slot + 1)],
            [result],
            self.subject("context", "context", tile, head)._replace(row_tile=first),
        )


def token_region(tile: Tile) -> Region:
    """A tile's tokens in the residual stream."""
    first = tile.token + tile.lane_first
    return Region(Space.RESIDUAL, first, first + tile.lane_count)


def _block_of(layer: str) -> int:
    parts = layer.split(".")
    return int(parts[1]) if len(parts) == 3 else -1


def _evenly(tiles: tuple[Tile, ...], most: int) -> Iterator[tuple[Tile, ...]]:
    """Groups of about equal size, at most ``most`` tiles each."""
    groups = divide_up(len(tiles), most)
    for i in range(groups):
        yield tiles[len(tiles) * i // groups : len(tiles) * (i + 1) // groups]
