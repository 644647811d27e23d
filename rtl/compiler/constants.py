"""The layout of constants in the MODEL region: every chunk on a boundary of 64 bytes.

Only sizes; :mod:`rtl.compiler.image` fills in the values.
"""

from rtl.compiler.operations import Chunk
from rtl.compiler.requests import Run
from rtl.compiler.sizes import LayerSizes, Sizes, divide_up

ALIGNMENT = 64  # bytes; a multiple of every memory beat


class Constants:
    """Hands out offsets in the order of first use."""

    def __init__(self, sizes: Sizes):
        self.sizes = sizes
        self.chunks: list[Chunk] = []
        self.bytes = 0

    def add(self, what: str, parts: tuple[tuple[str, int, int], ...], size_bytes: int) -> Chunk:
        chunk = Chunk(what, parts, self.bytes, size_bytes)
        self.bytes += divide_up(size_bytes, ALIGNMENT) * ALIGNMENT
        self.chunks.append(chunk)
        return chunk

    def weights(self, runs: list[Run]) -> tuple[Chunk, Chunk]:
        """Weights and row parameters of a block."""
        parts = tuple((run.layer.name, run.first, run.count) for run in runs)
        engine = self.sizes.engine
        words, tiles = sum(run.words for run in runs), sum(run.count for run in runs)
        return (
            self.add("weights", parts, words * engine.weight_word_bytes),
            self.add("parameters", parts, tiles * engine.parameter_word_bytes),
        )

    def exponents(self, norm: str) -> Chunk:
        word_bytes = self.sizes.exponent_word_bytes
        return self.add("exponents", ((norm, 0, 0),), self.sizes.width_tiles * word_bytes)

    def gelu(self, block: int) -> Chunk:
        return self.add("gelu", ((f"blocks.{block}.gelu", 0, 0),), 256)

    def position(self) -> Chunk:
        sizes = self.sizes
        token_bytes = sizes.width_tiles * sizes.engine.residual_word_bytes
        return self.add("position", (("position", 0, 0),), sizes.tokens * token_bytes)


def cut_into_blocks(
    pieces: list[tuple[LayerSizes, int, int]], sizes: Sizes, max_words: int
) -> list[list[Run]]:
    """Row tiles in order, cut into blocks that are about equal and fit the rings.

    Parameters
    ----------
    pieces : list of (layer, first row tile, row tiles)
    sizes : Sizes
    max_words : int
        Ring words of a block, unless a single row tile takes more.
    """
    engine = sizes.engine
    max_tiles = engine.parameter_words // 2
    tiles = [(layer, i) for layer, first, count in pieces for i in range(first, first + count)]
    total = sum(layer.ring_words(i) for layer, i in tiles)
    blocks = max(divide_up(total, max_words), divide_up(len(tiles), max_tiles))
    target = divide_up(total, blocks)
    groups: list[list[tuple[LayerSizes, int]]] = [[]]
    words = done = 0
    for layer, i in tiles:
        more = layer.ring_words(i)
        full = words + more > max_words or len(groups[-1]) == max_tiles
        if groups[-1] and (full or done + more // 2 >= target * len(groups)):
            groups.append([])
            words = 0
        groups[-1].append((layer, i))
        words += more
        done += more
    return [_runs(group, min(32, 255 // engine.granules)) for group in groups]


def _runs(tiles: list[tuple[LayerSizes, int]], most: int) -> list[Run]:
    """Row tiles of a block as runs of one layer, at most ``most`` tiles each."""
    runs: list[Run] = []
    word = start = 0
    while start < len(tiles):
        layer, first = tiles[start]
        stop = start + 1
        while stop < len(tiles) and stop - start < most and tiles[stop][0] is layer:
            stop += 1
        runs.append(Run(layer, first, stop - start, word, start))
        word += runs[-1].words
        start = stop
    return runs
