"""One operation for a piece of a matrix or a LayerNorm, and the requests for its constants."""

from collections.abc import Callable, Iterator, Sequence

from rtl.compiler.constants import Constants
from rtl.compiler.lowering.layout import norm_output, residual_tokens
from rtl.compiler.operations import MemorySpace, Operation, Region, Subject
from rtl.compiler.requests import Exponents, WeightBlock
from rtl.compiler.runs import RowRun, cut_into_blocks
from rtl.compiler.sizes import Plan, TiledMatrix, TokenTile
from rtl.isa.instructions import Destination, Format, Opcode, Weights

RING_PARTS = 4
"""A weight block takes at most this part of the ring: one is used while the next are loaded."""


class Layers:
    """Builds operations of matrices and LayerNorms; hands out their constants' places.

    Scales, zero points and signs stay open, see :mod:`rtl.compiler.bind`.

    Parameters
    ----------
    plan : Plan
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self.constants = Constants(plan)
        self.block_words = max(1, plan.engine.weight_words // RING_PARTS)

    def weight_blocks(self, pieces: list[tuple[TiledMatrix, int, int]]) -> list[WeightBlock]:
        """Row tiles as blocks for the ring; ``pieces`` are (layer, first row tile, row tiles)."""
        return [
            WeightBlock(runs, *self.constants.weights(runs))
            for runs in cut_into_blocks(pieces, self.plan, self.block_words)
        ]

    def norm(self, name: str) -> Callable[[TokenTile], Operation]:
        """A function that makes LayerNorm ``name``'s operation for a token tile."""
        plan = self.plan
        exponents = Exponents(self.constants.exponents(name), plan.width_tiles)

        def build(tile: TokenTile) -> Operation:
            output = norm_output(plan, tile)
            operands = {
                "source_address": plan.residual_word(tile.token),
                "source_stride": plan.width_tiles,
                "row_words": plan.width_tiles,
                "token": tile.token,
                "lane_first": tile.lane_first,
                "lane_count": tile.lane_count,
                "destination_address": output.start // plan.engine.granules,
                "width": plan.shape.width,
            }
            subject = Subject("norm", name, name, tile=tile)
            reads = [residual_tokens(tile)]
            return Operation(Opcode.NORM, operands, reads, [output], subject, (exponents,))

        return build

    def matmul(
        self, kind: str, tensor: str, run: RowRun, tile: TokenTile, source: Region
    ) -> Operation:
        """A multiplication by weights, without a destination.

        Parameters
        ----------
        kind, tensor : str
            As in :class:`rtl.compiler.operations.Subject`.
        run : RowRun
            Row tiles.
        tile : TokenTile
            Tokens.
        source : Region
            Input of the tile: granules of activations or words of pixels; of these, the layer's
            depth is read.
        """
        layer = run.layer
        source = source._replace(stop=source.start + layer.depth_words)
        operands = {
            "weights": Weights.RING,
            "activation_address": source.start,
            "depth_words": layer.depth_words,
            "row_tiles": run.count,
            "bits8": run.wide,
            "token": tile.token,
            "lane_first": tile.lane_first,
            "lane_count": tile.lane_count,
        }
        subject = Subject(kind, tensor, layer.name, layer.block, tile, row_tile=run.first)
        return Operation(Opcode.MATMUL, operands, [source], [], subject, run=run)

    def to_residual(
        self, kind: str, tensor: str, run: RowRun, tile: TokenTile, source: Region
    ) -> Operation:
        """As :meth:`matmul`, added to the residual stream."""
        plan = self.plan
        operation = self.matmul(kind, tensor, run, tile, source)
        operation.operands |= {
            "destination": Destination.RESIDUAL,
            "format": Format.INT16,
            "accumulate": 1,
            "destination_address": plan.residual_word(tile.token) + run.first,
            "destination_stride": plan.width_tiles,
        }
        tokens = residual_tokens(tile)
        operation.reads.append(tokens)
        operation.writes.append(tokens)
        return operation

    def to_activations(
        self, kind: str, tensor: str, run: RowRun, tile: TokenTile, result: Region
    ) -> Operation:
        """A layer on a LayerNorm's output; ``result`` is where all row tiles of the layer go."""
        granules = self.plan.engine.granules
        operation = self.matmul(kind, tensor, run, tile, norm_output(self.plan, tile))
        start, count = result.start + run.first * granules, run.count * granules
        operation.operands |= {
            "destination": Destination.ACTIVATIONS,
            "format": Format.ACT_SIGNED,
            "destination_address": start // granules,
            "mask_first": 0,
            "mask_count": count,
        }
        operation.writes.append(result._replace(start=start, stop=start + count))
        return operation

    def to_bank(
        self, operation: Operation, bank: Region, row_tile: int, row_tiles: int
    ) -> Operation:
        """Send a product of :meth:`matmul` into the key or value banks, 8 bits, a bank per token.

        Parameters
        ----------
        operation : Operation
        bank : Region
            Words of keys or values that hold ``row_tiles`` row tiles of all tokens.
        row_tile, row_tiles : int
            The first one that is written, of how many.
        """
        keys, engine = bank.space is MemorySpace.KEYS, self.plan.engine
        group = engine.row_lanes if keys else engine.depth_lanes  # tokens, one in each bank
        token = operation.operands["token"]
        operation.operands |= {
            "destination": Destination.KEYS if keys else Destination.VALUES,
            "format": Format.INT8,
            "destination_address": bank.start + row_tile + token // group * row_tiles,
            "destination_stride": row_tiles,
        }
        operation.writes.append(bank)
        return operation


def per_group(blocks: list[WeightBlock], groups: int) -> list[list[WeightBlock]]:
    """Weight blocks for each of several groups of token tiles: loaded again for each."""
    return [blocks, *([block.again() for block in blocks] for _ in range(groups - 1))]


def times(
    blocks: Sequence[WeightBlock],
    tiles: Sequence[TokenTile],
    build: Callable[[RowRun, TokenTile], Operation],
    then: Callable[[TokenTile], Operation] | None = None,
) -> Iterator[Operation]:
    """All row blocks times all token tiles; ``then`` follows the last block tile by tile."""
    for block in blocks:
        for tile in tiles:
            for run in block.runs:
                yield block.used_by(build(run, tile))
            if then and block is blocks[-1]:
                yield then(tile)
