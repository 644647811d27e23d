"""One operation for a piece of a matrix or a LayerNorm, and the requests for its constants."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from rtl.compiler.constants import Constants
from rtl.compiler.lowering.layout import PLACES, norm_output, residual_tokens
from rtl.compiler.operations import MemorySpace, Operation, Span, Subject
from rtl.compiler.requests import Exponents, Pending, Request, WeightBlock
from rtl.compiler.runs import RowRun, RowTiles, cut_into_blocks
from rtl.compiler.sizes import Plan
from rtl.compiler.tiles import TokenTile
from rtl.isa.instructions import Destination, Format, Opcode, Weights

RING_PARTS = 4
"""A weight block takes at most this part of the ring: one is used while the next are loaded."""


class Writeback(NamedTuple):
    """Destination of the results of a MATMUL.

    Parameters
    ----------
    operands : dict of str to int
        Destination, format and addresses.
    writes, reads : tuple of Span
        Regions that the drain touches.
    """

    operands: dict[str, int]
    writes: tuple[Span, ...]
    reads: tuple[Span, ...] = ()


class Layers:
    """Builds operations of matrices and LayerNorms; hands out their constants' places.

    Scales, zero points and signs stay open, see :mod:`rtl.compiler.bind`.

    Parameters
    ----------
    plan : Plan

    Attributes
    ----------
    norm_outputs : list of Span
        Output of a LayerNorm, by token tile.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self.norm_outputs = [norm_output(plan, tile) for tile in plan.all_tiles]
        self.constants = Constants(plan)
        self.block_words = max(1, plan.engine.weight_words // RING_PARTS)

    # ------------------------------------------------------------ constants

    def weight_blocks(self, *pieces: RowTiles) -> list[WeightBlock]:
        """Row tiles as blocks for the ring."""
        return [
            WeightBlock(runs, *self.constants.weights(runs))
            for runs in cut_into_blocks(pieces, self.plan.engine, self.block_words)
        ]

    # ------------------------------------------------------------ operations

    def norm(self, name: str) -> Callable[[TokenTile], list[Pending]]:
        """Return a function that lists the one operation of LayerNorm ``name`` for a token tile."""
        plan = self.plan
        exponents = Exponents(self.constants.exponents(name), plan.width_tiles)

        def build(tile: TokenTile) -> list[Pending]:
            output = self.norm_outputs[tile.index]
            operands = {
                "source_address": plan.residual_word(tile.token),
                "source_stride": plan.token_words,
                "row_words": plan.width_tiles,
                "token": tile.token,
                "lane_first": tile.lane_first,
                "lane_count": tile.lane_count,
                "destination_address": output.start // plan.engine.granules,
                "width": plan.shape.width,
            }
            subject = Subject("norm", name, name, tile=tile)
            reads, writes = (residual_tokens(tile),), (output,)
            return [Pending(Operation(Opcode.NORM, operands, reads, writes, subject), (exponents,))]

        return build

    def matmul(
        self,
        kind: str,
        tensor: str,
        run: RowRun,
        tile: TokenTile,
        source: Span,
        writeback: Writeback,
    ) -> Operation:
        """A multiplication by weights.

        Parameters
        ----------
        kind, tensor : str
            As in :class:`rtl.compiler.operations.Subject`.
        run : RowRun
            Row tiles.
        tile : TokenTile
            Tokens.
        source : Span
            Input of the tile: granules of activations or words of pixels; of these, the layer's
            depth is read.
        writeback : Writeback
        """
        space, start, _ = source
        layer = run.layer
        _, token, lane_first, lane_count = tile
        operands = {
            "weights": Weights.RING,
            "activation_address": start,
            "depth_words": layer.depth_words,
            "row_tiles": run.count,
            "bits8": run.bits8,
            "token": token,
            "lane_first": lane_first,
            "lane_count": lane_count,
            **writeback.operands,
        }
        reads = (Span(space, start, start + layer.depth_words), *writeback.reads)
        subject = Subject(kind, tensor, layer.name, layer.block, tile, -1, run.first)
        return Operation(Opcode.MATMUL, operands, reads, writeback.writes, subject, run)

    # ------------------------------------------------------------ where results go

    def to_residual(self, run: RowRun, tile: TokenTile, *, add: bool = True) -> Writeback:
        """Into the residual stream, added to what is there or in its place."""
        operands = {
            "destination": Destination.RESIDUAL,
            "format": Format.INT16,
            "accumulate": int(add),
            "destination_address": self.plan.residual_word(tile.token) + run.first,
            "destination_stride": self.plan.token_words,
        }
        tokens = residual_tokens(tile)
        return Writeback(operands, writes=(tokens,), reads=(tokens,) if add else ())

    def to_kept(self, run: RowRun, tile: TokenTile, block: int) -> Writeback:
        """Into the residual stream as :meth:`to_residual` adds, but each token that stays behind
        ``block`` to its place among these, and no others.

        A place is not above the token's, and below it by as many tokens as go, at most.
        """
        operands, (tokens,), _ = self.to_residual(run, tile)
        stay = self.plan.tokens_in(block + 1)
        dropped = self.plan.tokens_in(block) - stay
        start, stop = max(0, tokens.start - dropped), min(tokens.stop, stay)
        places = tokens._replace(start=start, stop=stop)
        operands |= {"destination": Destination.KEPT}
        return Writeback(operands, writes=(places,), reads=(tokens, PLACES))

    def to_activations(self, run: RowRun, result: Span) -> Writeback:
        """Into the activations; ``result`` is where all row tiles of the layer go."""
        granules = self.plan.engine.granules
        start, count = result.start + run.first * granules, run.count * granules
        operands = {
            "destination": Destination.ACTIVATIONS,
            "format": Format.ACT_SIGNED,
            "destination_address": start // granules,
            "mask_first": 0,
            "mask_count": count,
        }
        return Writeback(operands, (Span(MemorySpace.ACTIVATIONS, start, start + count),))

    def to_bank(self, tile: TokenTile, bank: Span, row_tile: int, row_tiles: int) -> Writeback:
        """Into the key or value banks, 8 bits, a bank per token.

        Parameters
        ----------
        tile : TokenTile
        bank : Span
            Words of keys or values that hold ``row_tiles`` row tiles of all tokens.
        row_tile, row_tiles : int
            The first one that is written, of how many.
        """
        keys, engine = bank.space is MemorySpace.KEYS, self.plan.engine
        group = engine.row_lanes if keys else engine.depth_lanes  # tokens, one in each bank
        operands = {
            "destination": Destination.KEYS if keys else Destination.VALUES,
            "format": Format.INT8,
            "destination_address": bank.start + row_tile + tile.token // group * row_tiles,
            "destination_stride": row_tiles,
        }
        return Writeback(operands, (bank,))


def per_group(blocks: list[WeightBlock], groups: int) -> list[list[WeightBlock]]:
    """Weight blocks for each of several groups of token tiles: loaded again for each."""
    return [blocks, *([block.again() for block in blocks] for _ in range(groups - 1))]


def times(
    blocks: Sequence[WeightBlock],
    tiles: Sequence[TokenTile],
    build: Callable[[RowRun, TokenTile], Operation],
    needs: Callable[[RowRun, TokenTile], tuple[Request, ...]] | None = None,
    then: Callable[[TokenTile], Iterable[Pending]] | None = None,
) -> Iterator[Pending]:
    """List the product of all row blocks and all token tiles.

    Parameters
    ----------
    blocks : sequence of WeightBlock
    tiles : sequence of TokenTile
    build : callable
        Makes the operation of a run and a tile.
    needs : callable or None
        Returns the requests of an operation besides the weights.
    then : callable or None
        Lists the operations that follow the last block, tile by tile.
    """
    for block in blocks:
        for tile in tiles:
            for run in block.runs:
                requests = (block, *needs(run, tile)) if needs else (block,)
                yield Pending(build(run, tile), requests)
            if then and block is blocks[-1]:
                yield from then(tile)
