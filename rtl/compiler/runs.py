"""Matrices cut into what the weight ring holds at a time (blocks) and one MATMUL takes (runs)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from rtl.compiler.tiles import TiledMatrix, divide_up
from rtl.config import EngineConfig
from rtl.isa.instructions import INSTRUCTIONS, Opcode

_BITS = {field.name: field.bits for field in INSTRUCTIONS[Opcode.MATMUL]}
MAX_ROW_TILES = _BITS["bits8"]  # of a MATMUL: a flag for each
MAX_GRANULES = (1 << _BITS["mask_count"]) - 1  # of a MATMUL: the mask counts them


def most_row_tiles(engine: EngineConfig) -> int:
    """Row tiles of one MATMUL into the activations."""
    return min(MAX_ROW_TILES, MAX_GRANULES // engine.granules)


@dataclass(frozen=True, eq=False)
class RowRun:
    """Consecutive row tiles of one layer inside a weight block: what one MATMUL multiplies by.

    Parameters
    ----------
    layer : TiledMatrix
    first, count : int
        First row tile in the layer, and number of row tiles.
    word, parameter : int
        Ring word and parameter word of the first row tile, from the block's first ones.
    """

    layer: TiledMatrix
    first: int
    count: int
    word: int
    parameter: int

    @cached_property
    def bits8(self) -> int:
        """Bit i is set where row tile i of the run has 8-bit weights."""
        flags = self.layer.bits8[self.first : self.first + self.count]
        return sum(1 << i for i, bits8 in enumerate(flags) if bits8)

    @cached_property
    def words(self) -> int:
        """Words of the weight ring; an 8-bit row tile takes twice as many as a 4-bit one."""
        return self.layer.depth_words * (self.count + self.bits8.bit_count())


class RowTiles(NamedTuple):
    """Row tiles ``first`` ... ``first + count - 1`` of a layer."""

    layer: TiledMatrix
    first: int
    count: int


def cut_into_blocks(
    pieces: Sequence[RowTiles], engine: EngineConfig, max_words: int
) -> list[list[RowRun]]:
    """Row tiles in order, cut into blocks of about equal size that fit the rings.

    Parameters
    ----------
    pieces : sequence of RowTiles
    engine : EngineConfig
    max_words : int
        Ring words of a block, unless a single row tile takes more.

    Returns
    -------
    list of list of RowRun
        The runs of each block, none of which goes from one piece to the next. No block takes more
        than half the parameter words, so that the next one can be loaded meanwhile.
    """
    max_tiles = engine.parameter_words // 2
    tiles = [(piece, i) for piece in pieces for i in range(piece.first, piece.first + piece.count)]
    ring_words = [piece.layer.ring_words(i) for piece, i in tiles]
    total = sum(ring_words)
    blocks = max(divide_up(total, max_words), divide_up(len(tiles), max_tiles))
    target = divide_up(total, blocks)
    groups: list[list[tuple[RowTiles, int]]] = [[]]
    words = done = 0  # ring words of the latest block, of all
    for tile, more in zip(tiles, ring_words, strict=True):
        full = words + more > max_words or len(groups[-1]) == max_tiles
        if groups[-1] and (full or done + more // 2 >= target * len(groups)):
            groups.append([])
            words = 0
        groups[-1].append(tile)
        words += more
        done += more
    return [_runs(group, most_row_tiles(engine)) for group in groups]


def _runs(tiles: list[tuple[RowTiles, int]], most: int) -> list[RowRun]:
    """Row tiles of a block as runs of one piece, at most ``most`` tiles each."""
    runs: list[RowRun] = []
    word = start = 0
    while start < len(tiles):
        piece, first = tiles[start]
        stop = start + 1
        while stop < len(tiles) and stop - start < most and tiles[stop][0] is piece:
            stop += 1
        runs.append(RowRun(piece.layer, first, stop - start, word, start))
        word += runs[-1].words
        start = stop
    return runs
