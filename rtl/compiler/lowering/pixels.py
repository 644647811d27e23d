"""The image in the pixel banks: where each token tile's patches lie, and what loads them.

An image arrives in strips, each one row of patches, one LOAD. Strips and token tiles need not end
at the same patch: of 7 patches in a row and 4 token lanes, strip 0 fills tile 0 and most of
tile 1. A *chain* is the fewest tiles that end where a strip ends (there: 7 tiles, 4 strips). The
banks are cut into as many chains as fit, used in turn, and a strip never leaves its chain, so its
tiles follow each other at a constant step.
"""

from collections.abc import Iterator

from rtl.compiler.operations import MemorySpace, Span
from rtl.compiler.requests import StripRequest
from rtl.compiler.sizes import Plan
from rtl.compiler.tiles import TokenTile, divide_up


class PixelBanks:
    """Pixel addresses and strips of one image.

    Parameters
    ----------
    plan : Plan
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self.chains = plan.engine.pixel_words // plan.chain_words  # that fit
        self._strips: list[tuple[StripRequest, ...]] = [()] * len(plan.patch_tiles)
        across, lanes = plan.shape.grid[1], plan.engine.token_lanes
        for index in range(plan.shape.grid[0]):
            first, last = index * across, (index + 1) * across - 1
            tiles = range(first // lanes, last // lanes + 1)
            strip = StripRequest(index, tiles, self.place(tiles.start), plan)
            for tile in tiles:
                self._strips[tile] += (strip,)

    def place(self, tile: int) -> int:
        """Place of token tile number ``tile`` in the banks; a place has ``patch_words`` words."""
        plan = self.plan
        chain, within = divmod(tile, plan.chain_tiles)
        places = min(plan.chain_tiles, len(plan.patch_tiles))  # of a chain
        return chain % self.chains * places + within

    def patches(self, tile: TokenTile) -> Span:
        """Pixel words of a token tile."""
        start = self.place(tile.index) * self.plan.patch_words
        return Span(MemorySpace.PIXELS, start, start + self.plan.patch_words)

    def strips(self, tile: TokenTile) -> tuple[StripRequest, ...]:
        """Strips that hold the tile's patches; a strip is shared by all tiles that it reaches."""
        return self._strips[tile.index]

    def groups(self) -> Iterator[tuple[TokenTile, ...]]:
        """Token tiles whose pixels are kept while all rows of the embedding are computed.

        All of them, if they fit; else half of what fits, so that the next ones are loaded
        meanwhile.
        """
        plan, tiles = self.plan, self.plan.patch_tiles
        total = divide_up(len(tiles), plan.chain_tiles)
        step = plan.chain_tiles * max(1, self.chains // 2)
        if self.chains >= total:
            step = len(tiles)
        for first in range(0, len(tiles), step):
            yield tiles[first : first + step]
