"""A block's attention: which operation follows which, so that the array never waits for softmax.

An *item* is one head and one token tile: SCORES (matmul unit), SOFTMAX (softmax unit), CONTEXT
(matmul unit). In program order the matmul unit would wait for every softmax, so the context comes
some items later, one less than there are slots, and projections of the next group of heads are
spread among the items. With two slots::

    K V Q of group 0
    scores 0 | softmax 0 |                         some K V Q of group 1
    scores 1 | softmax 1 | some K V Q of group 1 | context 0
    scores 2 | softmax 2 | some K V Q of group 1 | context 1
    ...
    scores n | softmax n | context n - 1         | some K V Q of group 2    (first of group 1)

Where the key and value banks hold only one group, its last contexts come before the next group's
projections. Within a group, heads outside and token tiles inside.

In a block that keeps only some patches, the softmax of the class token's tile adds up what each
patch is worth, head by head, and SELECT follows the last head's. In the last group the class
token's tile comes first: so all its other items hide the selection, and no projection waits for it.
"""

from collections import deque
from collections.abc import Iterator
from itertools import cycle
from typing import NamedTuple

from rtl.compiler.lowering.layers import Layers
from rtl.compiler.lowering.layout import IMPORTANCE, PLACES, AttentionLayout
from rtl.compiler.operations import Operation, Span, Subject
from rtl.compiler.requests import Pending
from rtl.compiler.runs import RowRun, RowTiles
from rtl.compiler.tiles import TokenTile, evenly
from rtl.isa.instructions import Destination, Format, Opcode, Weights


class AttentionItem(NamedTuple):
    """The operations of one head and one token tile."""

    scores: Pending
    softmax: tuple[Pending, ...]
    """Also SELECT, behind the last one that adds to the importance of patches."""
    context: Pending


class BlockAttention:
    """Lists the operations of one block's attention, from its LayerNorm to the context.

    Parameters
    ----------
    layers : Layers
    block : int

    Attributes
    ----------
    queries : tuple of TokenTile
        Tokens that attend.
    keys : int
        Tokens that are attended to: all that enter the block.
    key_tiles, value_depth : int
        Words that these take as keys and as values.
    """

    def __init__(self, layers: Layers, block: int):
        self.layers = layers
        self.plan = layers.plan
        self.block = block
        self.queries = self.plan.query_tiles(block)
        self.keys = self.plan.tokens_in(block)
        self.key_tiles, self.value_depth = self.plan.key_tiles(block), self.plan.value_depth(block)
        self.keep = self.plan.shape.blocks[block].keep
        self.layout = AttentionLayout(self.plan, block)
        self.slots = cycle(range(self.layout.slots))
        self.names = {x: f"blocks.{block}.{x}" for x in ("scores", "attention", "context")}

    # ------------------------------------------------------------ order

    def operations(self) -> Iterator[Pending]:
        """Projections and items of all groups, pipelined."""
        pending: deque[Pending] = deque()  # contexts that belong to the latest softmaxes
        most = self.layout.slots - 1
        yield from self.projections(0)
        for group in range(self.layout.groups):
            more = group + 1 < self.layout.groups
            room = self.layout.resident_groups > 1
            ahead = list(self.projections(group + 1)) if more and room else []
            items = list(self.items(group))
            # Contexts of the group before still read the values that the projections ahead
            # overwrite: those come with the last of these contexts, or later.
            without = min(max(0, len(pending) - 1), len(items) - 1)
            shares = [[]] * without + list(evenly(ahead, len(items) - without))
            for i, ((head, tile), share) in enumerate(zip(items, shares, strict=True)):
                item = self.item(group, head, tile)
                yield item.scores
                yield from item.softmax
                before = max(0, len(pending) - i)  # of these contexts
                count = before if before and share else int(len(pending) == most)
                ready = [pending.popleft() for _ in range(count)]
                yield from (*ready, *share) if before else (*share, *ready)
                pending.append(item.context)
            if more and not room:
                yield from pending
                pending.clear()
                yield from self.projections(group + 1)
        yield from pending

    def projections(self, group: int) -> Iterator[Pending]:
        """K, V and Q of a group's heads; Q only of tokens that attend."""
        tiles = self.layout.row_tiles[group]
        layers = self.plan.layers(self.block)
        queries = {tile.index: tile for tile in self.queries}
        pieces = [RowTiles(layers[name], tiles.start, len(tiles)) for name in "kvq"]
        for block in self.layers.weight_blocks(*pieces):
            for tile in self.plan.tiles_in(self.block):
                for run in block.runs:
                    if run.layer is not layers["q"]:
                        operation = self.project_keys_or_values(run, tile, group)
                        yield Pending(operation, (block,))
                    elif tile.index in queries:
                        operation = self.project_queries(run, queries[tile.index])
                        yield Pending(operation, (block,))

    def items(self, group: int) -> Iterator[tuple[int, TokenTile]]:
        """Head and token tile of a group's items, in their order."""
        heads, tiles = self.layout.heads_of(group), self.queries
        if self.keep is not None and group == self.layout.groups - 1:
            *tiles, class_tile = tiles
            yield from ((head, class_tile) for head in heads)
        yield from ((head, tile) for head in heads for tile in tiles)

    def item(self, group: int, head: int, tile: TokenTile) -> AttentionItem:
        """Scores, softmax and context, in the next slot."""
        slot, queries = next(self.slots), self.layout.head_queries(tile, head)
        return AttentionItem(
            Pending(self.scores(group, head, tile, slot, queries)),
            tuple(map(Pending, self.softmaxes(head, tile, slot))),
            Pending(self.context(group, head, tile, slot, queries)),
        )

    def softmaxes(self, head: int, tile: TokenTile, slot: int) -> Iterator[Operation]:
        """The softmax of an item; of the class token's tile, also what selects the patches."""
        softmax = self.softmax(head, tile, slot)
        if self.keep is None or tile != self.queries[-1]:
            yield softmax
            return
        flags = {"importance": 1, "importance_first": int(head == 0)}
        yield softmax._replace(
            operands=softmax.operands | flags,
            reads=(*softmax.reads, IMPORTANCE),
            writes=(*softmax.writes, IMPORTANCE),
        )
        if head == self.layout.heads - 1:
            yield self.select(self.keep)

    # ------------------------------------------------------------ single operations

    def project_queries(self, run: RowRun, tile: TokenTile) -> Operation:
        source = self.layers.norm_outputs[tile.index]
        writeback = self.layers.to_activations(run, self.layout.queries(tile))
        return self.layers.matmul("qkv", run.layer.name, run, tile, source, writeback)

    def project_keys_or_values(self, run: RowRun, tile: TokenTile, group: int) -> Operation:
        """Rows of K or V into the group's part of the banks, one bank per token."""
        name, layout = run.layer.name, self.layout
        bank = layout.keys[group] if name.endswith(".k") else layout.values[group]
        tiles = layout.row_tiles[group]
        source = self.layers.norm_outputs[tile.index]
        writeback = self.layers.to_bank(tile, bank, run.first - tiles.start, len(tiles))
        return self.layers.matmul("qkv", name, run, tile, source, writeback)

    def scores(self, group: int, head: int, tile: TokenTile, slot: int, queries: Span) -> Operation:
        """Q times K of one head, raw, and each token's maximum."""
        plan, layout, granules = self.plan, self.layout, self.plan.engine.granules
        keys, scores = layout.keys[group], layout.scores[slot]
        depth, key_tiles = plan.head_depth, self.key_tiles
        within = head - group * layout.group_heads
        operands = {
            "act_signed": 1,
            "activation_address": queries.start,
            "depth_words": depth,
            "weights": Weights.KEYS,
            "weight_address": keys.start * granules + within * depth,
            "weight_step": len(layout.row_tiles[group]) * granules,
            "row_tiles": key_tiles,
            "destination": Destination.SCORES,
            "slot": slot,
            "destination_address": scores.start,
            "destination_stride": key_tiles,
            "token": tile.token,
            "lane_first": tile.lane_first,
            "lane_count": tile.lane_count,
            "keys": self.keys,
        }
        reads, writes = (queries, keys), (scores, layout.maxima[slot])
        subject = self.subject("scores", "scores", tile, head)
        return Operation(Opcode.MATMUL, operands, reads, writes, subject)

    def softmax(self, head: int, tile: TokenTile, slot: int) -> Operation:
        """Scores to attention weights, and each token's scale for the context."""
        plan, layout = self.plan, self.layout
        scores, weights, key_tiles = layout.scores[slot], layout.weights[slot], self.key_tiles
        operands = {
            "source_address": scores.start,
            "source_stride": key_tiles,
            "key_words": key_tiles,
            "keys": self.keys,
            "lane_first": tile.lane_first,
            "lane_count": tile.lane_count,
            "destination_address": weights.start // plan.engine.granules,
            "slot": slot,
        }
        reads, writes = (scores, layout.maxima[slot]), (weights, layout.scales[slot])
        subject = self.subject("softmax", "attention", tile, head)
        return Operation(Opcode.SOFTMAX, operands, reads, writes, subject)

    def context(self, group: int, head: int, tile: TokenTile, slot: int, result: Span) -> Operation:
        """Attention weights times V of one head, over its Q.

        Whole row tiles are computed, which may hold other heads too; the mask lets only the
        granules of this one be written.
        """
        plan, layout, granules = self.plan, self.layout, self.plan.engine.granules
        weights, values, depth = layout.weights[slot], layout.values[group], plan.head_depth
        first, mask_first = divmod(head * depth, granules)
        last = ((head + 1) * depth - 1) // granules
        tiles = layout.row_tiles[group]
        operands = {
            "activation_address": weights.start,
            "depth_words": self.value_depth,
            "weights": Weights.VALUES,
            "weight_address": values.start + first - tiles.start,
            "weight_step": len(tiles),
            "row_tiles": last - first + 1,
            "destination": Destination.ACTIVATIONS,
            "format": Format.ACT_SIGNED,
            "token_scale": 1,
            "slot": slot,
            "destination_address": result.start // granules,
            "token": tile.token,
            "lane_first": tile.lane_first,
            "lane_count": tile.lane_count,
            "mask_first": mask_first,
            "mask_count": depth,
        }
        weights = Span(weights.space, weights.start, weights.start + self.value_depth)
        reads = (weights, values, layout.scales[slot])
        subject = self.subject("context", "context", tile, head, first)
        return Operation(Opcode.MATMUL, operands, reads, (result,), subject)

    def select(self, keep: int) -> Operation:
        """The patches that stay, and where each token goes."""
        plan = self.plan
        operands = {
            "patches": plan.shape.patches_in(self.block),
            "keep": keep,
            "others": plan.shape.others,
            "stride": plan.token_words,
        }
        name = f"blocks.{self.block}.kept"
        subject = Subject("select", name, name, self.block)
        return Operation(Opcode.SELECT, operands, (IMPORTANCE,), (PLACES,), subject)

    def subject(
        self, kind: str, tensor: str, tile: TokenTile, head: int, row_tile: int = 0
    ) -> Subject:
        name = self.names[tensor]
        return Subject(kind, name, name, self.block, tile, head, row_tile)
