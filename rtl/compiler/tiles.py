"""Tokens and matrices in tiles: the vocabulary of the plan and of every later pass.

A *token tile* is ``token_lanes`` tokens, a *row tile* ``row_lanes`` rows of a matrix, a *depth
word* ``depth_lanes`` of its columns. Padding rules: docs/design/0001-engine.md, *Lanes*.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import NamedTuple, TypeVar

Item = TypeVar("Item")


def divide_up(value: int, by: int) -> int:
    """``value / by``, rounded up."""
    return -(-value // by)


def evenly(items: Sequence[Item], parts: int) -> list[Sequence[Item]]:
    """``items`` in order, cut into ``parts`` whose lengths differ by one at most."""
    cuts = [len(items) * i // parts for i in range(parts + 1)]
    return [items[start:stop] for start, stop in pairwise(cuts)]


class TokenTile(NamedTuple):
    """One token tile, or the part of it that an instruction works on.

    Parameters
    ----------
    index : int
        Number of the tile in the image.
    token : int
        The token in lane 0.
    lane_first, lane_count : int
        Lanes that take part.
    """

    index: int
    token: int
    lane_first: int
    lane_count: int

    @property
    def tokens(self) -> range:
        """Tokens of the lanes that take part."""
        first = self.token + self.lane_first
        return range(first, first + self.lane_count)


def token_tiles(tokens: int, lanes: int) -> tuple[TokenTile, ...]:
    """Tiles of ``lanes`` tokens that hold tokens 0 ... ``tokens - 1``; the last may have fewer."""
    return tuple(
        TokenTile(index, token, 0, min(lanes, tokens - token))
        for index, token in enumerate(range(0, tokens, lanes))
    )


@dataclass(frozen=True)
class TiledMatrix:
    """A layer's matrix in row tiles and depth words.

    Parameters
    ----------
    name : str
        As in docs/format.md: ``embed``, ``blocks.0.q``, ..., ``head``.
    block : int
        Number of the block; -1 outside of blocks.
    rows, depth : int
        Rows and columns without padding.
    depth_words : int
        Words of the reduction, padding included.
    bits8 : tuple of bool
        Per row tile of the engine, whether it holds 8-bit weights.
    """

    name: str
    block: int
    rows: int
    depth: int
    depth_words: int
    bits8: tuple[bool, ...]

    @property
    def row_tiles(self) -> int:
        return len(self.bits8)

    def ring_words(self, tile: int) -> int:
        """Words of the weight ring that row tile ``tile`` takes."""
        return self.depth_words * (1 + self.bits8[tile])


@cache
def tile_flags(
    flags: tuple[bool, ...], granularity: int, row_lanes: int, rows: int
) -> tuple[bool, ...]:
    """Width flags per ``granularity`` rows as flags per row tile of ``row_lanes`` rows."""
    return tuple(flags[first // granularity] for first in range(0, rows, row_lanes))


@cache
def padded_tile_flags(
    flags: tuple[bool, ...], granularity: int, row_lanes: int, rows: int, dim: int, padded: int
) -> tuple[bool, ...]:
    """The same for heads of ``dim`` rows that are padded to ``padded``.

    A row tile has 8 bits if any of its rows has.
    """
    tiles = [False] * divide_up(rows // dim * padded, row_lanes)
    for row in range(rows):
        head, within = divmod(row, dim)
        tiles[(head * padded + within) // row_lanes] |= flags[row // granularity]
    return tuple(tiles)
