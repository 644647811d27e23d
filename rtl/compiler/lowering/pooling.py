"""The mean of the patch tokens, as attention with equal weights: docs/design/0008-mean-pooling.md.

The weights come first, so that the array need not wait for them; then values and mean of as many
channels as the value banks hold::

    weights | values of channels 0 ..., token tile by token tile | mean | values of more | mean ...
"""

from collections.abc import Iterator
from dataclasses import replace

from rtl.compiler.lowering.layers import Layers, per_group, times
from rtl.compiler.lowering.layout import head_input, norm_output, pool_weights
from rtl.compiler.operations import MemorySpace, Operation, Span, Subject
from rtl.compiler.requests import Pending, RowParameters
from rtl.compiler.runs import RowRun, RowTiles, most_row_tiles
from rtl.compiler.tiles import TokenTile
from rtl.isa.instructions import Destination, Format, Opcode, Weights


class MeanPooling:
    """Lists the operations between the final LayerNorm and the head.

    Parameters
    ----------
    layers : Layers
    """

    def __init__(self, layers: Layers):
        self.layers = layers
        self.plan = layers.plan

    def operations(self) -> Iterator[Pending]:
        """The weights, then values and mean of each group of channels."""
        plan, layers, matrices = self.plan, self.layers, self.plan.pool_layers
        tiles = plan.key_tiles(plan.last)
        weights = layers.weight_blocks(RowTiles(matrices["pool.weights"], 0, tiles))
        identity = layers.weight_blocks(RowTiles(matrices["pool.values"], 0, 1))
        yield from times(weights, (plan.head_tile,), self.weights)
        groups = list(self.groups())
        for channels, (block,) in zip(groups, per_group(identity, len(groups)), strict=True):
            for tile in plan.patch_tiles:
                for row_tile in channels:
                    run = replace(block.runs[0], first=row_tile)  # one identity for all
                    yield Pending(self.values(run, tile, channels), (block,))
            yield self.mean(channels)

    def groups(self) -> Iterator[range]:
        """Row tiles of channels that are pooled together."""
        plan = self.plan
        most = min(
            plan.engine.value_words // plan.value_depth(plan.last),
            plan.engine.parameter_words // 2,  # those of the values are still there
            most_row_tiles(plan.engine),
        )
        for first in range(0, plan.width_tiles, most):
            yield range(first, min(first + most, plan.width_tiles))

    def weights(self, run: RowRun, tile: TokenTile) -> Operation:
        """Each token's weight: its row has no weights but a bias, so the input does not matter."""
        source = norm_output(self.plan, tile)
        writeback = self.layers.to_activations(run, pool_weights(self.plan))
        return self.layers.matmul("pool", "pool.weights", run, tile, source, writeback)

    def values(self, run: RowRun, tile: TokenTile, channels: range) -> Operation:
        """Codes of one row tile of channels, centred, into the value banks."""
        start = norm_output(self.plan, tile).start + run.first * self.plan.engine.granules
        source = Span(MemorySpace.ACTIVATIONS, start, start + run.layer.depth_words)
        row_tile, bank = run.first - channels.start, self.bank(channels)
        writeback = self.layers.to_bank(tile, bank, row_tile, len(channels))
        return self.layers.matmul("pool", "pool.values", run, tile, source, writeback)

    def bank(self, channels: range) -> Span:
        return Span(MemorySpace.VALUES, 0, self.plan.value_depth(self.plan.last) * len(channels))

    def mean(self, channels: range) -> Pending:
        """Weights times values, with the parameters of each channel."""
        plan, granules, tile = self.plan, self.plan.engine.granules, self.plan.head_tile
        weights, bank, result = pool_weights(plan), self.bank(channels), head_input(plan)
        depth = plan.value_depth(plan.last)
        weights = weights._replace(stop=weights.start + depth)
        start = result.start + channels.start * granules
        result = result._replace(start=start, stop=start + len(channels) * granules)
        operands = {
            "activation_address": weights.start,
            "depth_words": depth,
            "weights": Weights.VALUES,
            "weight_address": bank.start,
            "weight_step": len(channels),
            "row_tiles": len(channels),
            "destination": Destination.ACTIVATIONS,
            "format": Format.ACT_SIGNED,
            "destination_address": start // granules,
            "token": tile.token,
            "lane_first": tile.lane_first,
            "lane_count": tile.lane_count,
            "mask_first": 0,
            "mask_count": len(channels) * granules,
        }
        subject = Subject("pool", "pool", "pool", tile=tile, row_tile=channels.start)
        chunk = self.layers.constants.parameters((("pool", channels.start, len(channels)),))
        operation = Operation(Opcode.MATMUL, operands, (weights, bank), (result,), subject)
        return Pending(operation, (RowParameters(chunk, len(channels)),))
