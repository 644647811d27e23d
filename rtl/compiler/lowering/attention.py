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
"""

from collections import deque
from collections.abc import Iterator
from itertools import cycle

from rtl.compiler.lowering.layers import Layers
from rtl.compiler.lowering.layout import AttentionLayout, norm_output
from rtl.compiler.operations import MemorySpace, Operation, Region, Subject
from rtl.compiler.runs import RowRun
from rtl.compiler.sizes import TokenTile, evenly
from rtl.isa.instructions import Destination, Format, Opcode, Weights


class Attention:
    """Lists the operations of one block's attention, from its LayerNorm to the context.

    Parameters
    ----------
    layers : Layers
    block : int

    Attributes
    ----------
    queries : tuple of TokenTile
        Tokens that attend; all tokens are attended to.
    """

    def __init__(self, layers: Layers, block: int):
        self.layers = layers
        self.plan = layers.plan
        self.block = block
        self.queries = layers.plan.query_tiles(block)
        self.layout = AttentionLayout(self.plan, block)
        self.slots = cycle(range(self.layout.slots))

    # ------------------------------------------------------------ order

    def operations(self) -> Iterator[Operation]:
        """Projections and items of all groups, pipelined."""
        pending: deque[Operation] = deque()  # contexts that belong to the latest softmaxes
        most = self.layout.slots - 1
        yield from self.projections(0)
        for group in range(self.layout.groups):
            more = group + 1 < self.layout.groups
            room = self.layout.resident_groups > 1
            ahead = list(self.projections(group + 1)) if more and room else []
            items = [(head, tile) for head in self.layout.heads_of(group) for tile in self.queries]
            # Contexts of the group before still read the values that the projections ahead
            # overwrite: those come with the last of these contexts, or later.
            without = min(max(0, len(pending) - 1), len(items) - 1)
            shares = [[]] * without + list(evenly(ahead, len(items) - without))
            for i, (item, share) in enumerate(zip(items, shares, strict=True)):
                scores, softmax, context = self.item(group, *item)
                yield scores
                yield softmax
                before = max(0, len(pending) - i)  # of these contexts
                count = before if before and share else int(len(pending) == most)
                ready = [pending.popleft() for _ in range(count)]
                yield from (*ready, *share) if before else (*share, *ready)
                pending.append(context)
            if more and not room:
                yield from pending
                pending.clear()
                yield from self.projections(group + 1)
        yield from pending

    def projections(self, group: int) -> Iterator[Operation]:
        """K, V and Q of a group's heads; Q only of tokens that attend."""
        tiles = self.layout.row_tiles_of(group)
        layers = self.plan.layers(self.block)
        queries = {tile.index: tile for tile in self.queries}
        for block in self.layers.weight_blocks(
            [(layers[x], tiles.start, len(tiles)) for x in "kvq"]
        ):
            for tile in self.plan.all_tiles:
                for run in block.runs:
                    if run.layer is not layers["q"]:
                        yield block.used_by(self.project_keys_or_values(run, tile, group))
                    elif tile.index in queries:
                        yield block.used_by(self.project_queries(run, queries[tile.index]))

    def item(
        self, group: int, head: int, tile: TokenTile
    ) -> tuple[Operation, Operation, Operation]:
        """Scores, softmax and context, in the next slot."""
        slot = next(self.slots)
        return (
            self.scores(group, head, tile, slot),
            self.softmax(head, tile, slot),
            self.context(group, head, tile, slot),
        )

    # ------------------------------------------------------------ single operations

    def project_queries(self, run: RowRun, tile: TokenTile) -> Operation:
        name, queries = run.layer.name, self.layout.queries(tile)
        return self.layers.to_activations("qkv", name, run, tile, queries)

    def project_keys_or_values(self, run: RowRun, tile: TokenTile, group: int) -> Operation:
        """Rows of K or V into the group's part of the banks, one bank per token."""
        name, layout = run.layer.name, self.layout
        bank = layout.keys(group) if name.endswith(".k") else layout.values(group)
        tiles = layout.row_tiles_of(group)
        operation = self.layers.matmul("qkv", name, run, tile, norm_output(self.plan, tile))
        return self.layers.to_bank(operation, bank, run.first - tiles.start, len(tiles))

    def scores(self, group: int, head: int, tile: TokenTile, slot: int) -> Operation:
        """Q times K of one head, raw, and each token's maximum."""
        plan, granules = self.plan, self.plan.engine.granules
        queries = self.layout.head_queries(tile, head)
        keys, scores = self.layout.keys(group), self.layout.scores(slot)
        within = head - self.layout.heads_of(group).start
        operands = {
            "act_signed": 1,
            "activation_address": queries.start,
            "depth_words": plan.head_depth,
            "weights": Weights.KEYS,
            "weight_address": keys.start * granules + within * plan.head_depth,
            "weight_step": len(self.layout.row_tiles_of(group)) * granules,
            "row_tiles": plan.key_tiles,
            "destination": Destination.SCORES,
            "slot": slot,
            "destination_address": scores.start,
            "destination_stride": plan.key_tiles,
            "token": tile.token,
            "lane_first": tile.lane_first,
            "lane_count": tile.lane_count,
            "keys": plan.tokens,
        }
        reads, writes = [queries, keys], [scores, Region(MemorySpace.MAXIMA, slot, slot + 1)]
        subject = self.subject("scores", "scores", tile, head)
        return Operation(Opcode.MATMUL, operands, reads, writes, subject)

    def softmax(self, head: int, tile: TokenTile, slot: int) -> Operation:
        """Scores to attention weights, and each token's scale for the context."""
        plan = self.plan
        scores, weights = self.layout.scores(slot), self.layout.weights(slot)
        operands = {
            "source_address": scores.start,
            "source_stride": plan.key_tiles,
            "key_words": plan.key_tiles,
            "keys": plan.tokens,
            "lane_first": tile.lane_first,
            "lane_count": tile.lane_count,
            "destination_address": weights.start // plan.engine.granules,
            "slot": slot,
        }
        reads = [scores, Region(MemorySpace.MAXIMA, slot, slot + 1)]
        writes = [weights, Region(MemorySpace.SCALES, slot, slot + 1)]
        subject = self.subject("softmax", "attention", tile, head)
        return Operation(Opcode.SOFTMAX, operands, reads, writes, subject)

    def context(self, group: int, head: int, tile: TokenTile, slot: int) -> Operation:
        """Attention weights times V of one head, over its Q.

        Whole row tiles are computed, which may hold other heads too; the mask lets only the
        granules of this one be written.
        """
        plan, granules = self.plan, self.plan.engine.granules
        weights, values = self.layout.weights(slot), self.layout.values(group)
        weights = weights._replace(stop=weights.start + plan.value_depth)
        result = self.layout.head_queries(tile, head)
        first, mask_first = divmod(head * plan.head_depth, granules)
        last = ((head + 1) * plan.head_depth - 1) // granules
        tiles = self.layout.row_tiles_of(group)
        operands = {
            "activation_address": weights.start,
            "depth_words": plan.value_depth,
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
            "mask_count": plan.head_depth,
        }
        reads = [weights, values, Region(MemorySpace.SCALES, slot, slot + 1)]
        subject = self.subject("context", "context", tile, head)._replace(row_tile=first)
        return Operation(Opcode.MATMUL, operands, reads, [result], subject)

    def subject(self, kind: str, tensor: str, tile: TokenTile, head: int) -> Subject:
        name = f"blocks.{self.block}.{tensor}"
        return Subject(kind, name, name, self.block, tile, head)
