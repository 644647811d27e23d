"""The layout of constants in the MODEL region: every chunk on a boundary of 64 bytes.

Only sizes; :mod:`rtl.compiler.image` fills in the values.
"""

from rtl.compiler.operations import Chunk
from rtl.compiler.runs import RowRun
from rtl.compiler.sizes import Plan
from rtl.compiler.tiles import divide_up

ALIGNMENT = 64  # bytes; a multiple of every memory beat


class Constants:
    """Hands out offsets in the order in which chunks are asked for.

    Parameters
    ----------
    plan : Plan

    Attributes
    ----------
    chunks : list of Chunk
        All chunks so far, in the order of their offsets.
    bytes : int
        Their size, which is the offset of the next one.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self.chunks: list[Chunk] = []
        self.bytes = 0

    def _add(self, what: str, parts: tuple[tuple[str, int, int], ...], size_bytes: int) -> Chunk:
        chunk = Chunk(what, parts, self.bytes, size_bytes)
        self.bytes += divide_up(size_bytes, ALIGNMENT) * ALIGNMENT
        self.chunks.append(chunk)
        return chunk

    def weights(self, runs: list[RowRun]) -> tuple[Chunk, Chunk]:
        """Weights and row parameters of a weight block with these runs."""
        parts = tuple((run.layer.name, run.first, run.count) for run in runs)
        size_bytes = sum(run.words for run in runs) * self.plan.engine.weight_word_bytes
        return self._add("weights", parts, size_bytes), self.parameters(parts)

    def parameters(self, parts: tuple[tuple[str, int, int], ...]) -> Chunk:
        """Row parameters of ``parts``, each (layer, first row tile, row tiles)."""
        tiles = sum(count for _, _, count in parts)
        return self._add("parameters", parts, tiles * self.plan.engine.parameter_word_bytes)

    def exponents(self, norm: str) -> Chunk:
        """Channel exponents of LayerNorm ``norm``, as ``blocks.0.norm1``."""
        word_bytes = self.plan.engine.exponent_word_bytes
        return self._add("exponents", ((norm, 0, 0),), self.plan.width_tiles * word_bytes)

    def gelu(self, block: int, table: int = 0) -> Chunk:
        """A table of a block: 256 codes, a byte each."""
        return self._add("gelu", ((f"blocks.{block}.gelu", table, 0),), 256)

    def position(self) -> Chunk:
        """The position tensor: (tokens, padded width) int16."""
        plan = self.plan
        return self._add("position", (("position", 0, 0),), plan.tokens * plan.token_bytes)
