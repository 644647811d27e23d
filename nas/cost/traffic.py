"""What an image of many networks moves, at once: the vectorised form of :mod:`rtl.timing.traffic`.

Counted matrix by matrix instead of instruction by instruction. All is exact but the number of
instructions, which are read from memory like the weights: it is the latency model's
(:mod:`nas.cost.phases`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.cost.cutting import all_cuts
from nas.cost.networks import Array, Networks
from nas.cost.phases import Attention, K, Phases, Q, V, embedding_of, phases_of
from nas.cost.sizes import Sizes, divide_up, per_block
from rtl.config import EngineConfig
from rtl.isa.instructions import INSTRUCTION_BYTES
from rtl.model import numerics
from rtl.model.shape import LAYERS

PIXEL_BITS = 8
PROJ, FC1, FC2 = (LAYERS.index(name) for name in ("proj", "fc1", "fc2"))


@dataclass(frozen=True, eq=False)
class Traffic:
    """Of one image of each network; all (n,) int.

    Parameters
    ----------
    array_cycles : in which the array multiplies
    data_bytes : read from memory but for the program: weights, their parameters, tables, pixels
    program_bytes : of the instructions
    written_bytes : to memory
    scratchpad_read_bytes, scratchpad_written_bytes : on the chip
    """

    array_cycles: Array
    data_bytes: Array
    program_bytes: Array
    written_bytes: Array
    scratchpad_read_bytes: Array
    scratchpad_written_bytes: Array

    @property
    def memory_bytes(self) -> Array:
        """Read and written."""
        return self.data_bytes + self.program_bytes + self.written_bytes

    @property
    def scratchpad_bytes(self) -> Array:
        """Read and written."""
        return self.scratchpad_read_bytes + self.scratchpad_written_bytes


def traffic_of(networks: Networks, engine: EngineConfig) -> Traffic:
    """Traffic of networks that the engine can run.

    Raises
    ------
    ValueError
        If the head of any works on the patches' mean, which takes products of its own.
    """
    if networks.mean_pool.any():
        raise ValueError("networks with mean pooling have no vectorised traffic: use work_of")
    return _Counter(Sizes(networks, engine)).traffic()


@dataclass(frozen=True, eq=False)
class _Product:
    """A matrix times tokens; (n, blocks) or (n,), what does not exist counts nothing.

    Parameters
    ----------
    tokens, tiles : they, and the token tiles that hold them
    row_tiles, passes : of the matrix, and how often the array goes over one of them
    words : terms of the dot products, in words of the depth lanes
    rows : that are written
    bits : of a value that is written
    operand_bits, weight_bits : of a value that the array takes from each side
    accumulates : whether the values before are read
    times : matrices like this
    """

    tokens: Any
    tiles: Any
    row_tiles: Array
    passes: Array
    words: Any
    rows: Array
    bits: int
    operand_bits: int
    weight_bits: int = numerics.ATOM_BITS
    accumulates: bool = False
    times: Any = 1

    @property
    def array_cycles(self) -> Array:
        return self.times * self.tiles * self.passes * self.words

    def read_bits(self, engine: EngineConfig) -> Array:
        """Both operands in every cycle; row parameters; what is added to."""
        sides = self.tokens * self.operand_bits + self.tiles * engine.row_lanes * self.weight_bits
        fed = self.passes * self.words * engine.depth_lanes * sides
        parameters = 8 * self.tiles * self.row_tiles * engine.parameter_word_bytes
        added = self.tokens * self.rows * self.bits if self.accumulates else 0
        return self.times * (fed + parameters + added)

    @property
    def written_bits(self) -> Array:
        return self.times * self.tokens * self.rows * self.bits


class _Counter:
    """Sums over the networks' matrices, LayerNorms and softmaxes.

    Attributes
    ----------
    queries : (n, blocks) tokens that a block computes
    """

    def __init__(self, sizes: Sizes):
        self.sizes, self.networks, self.engine = sizes, sizes.networks, sizes.engine
        self.queries = np.where(sizes.single, 1, per_block(self.networks.tokens))

    def traffic(self) -> Traffic:
        phases = self._phases()
        data = self._loaded_bytes(phases)
        cycles = reads = np.zeros_like(data)
        writes = 8 * data
        for product in self._products():
            cycles = cycles + self._sum(product.array_cycles)
            reads = reads + self._sum(product.read_bits(self.engine))
            writes = writes + self._sum(product.written_bits)
        normalized, softened = self._normalized(), self._softened()
        words = self.sizes.class_tiles
        instructions = phases.instructions.sum(axis=1) + self._exponent_loads()
        reads = reads + 2 * normalized * numerics.RESIDUAL_BITS + softened * numerics.SCORE_BITS
        reads = reads + 8 * words * self.engine.residual_word_bytes
        writes = writes + (normalized + softened) * self.engine.act_bits
        return Traffic(
            array_cycles=cycles,
            data_bytes=data,
            program_bytes=(instructions * INSTRUCTION_BYTES).astype(np.int64),
            written_bytes=words * self.engine.logit_word_bytes,
            scratchpad_read_bytes=reads // 8,
            scratchpad_written_bytes=writes // 8,
        )

    def _phases(self) -> Phases:
        """As the latency model has them; cycles of what is no matrix do not matter here."""
        cuts = [each[np.arange(len(self.networks))] for each in all_cuts(self.sizes)]
        return phases_of(self.sizes, cuts, Attention(self.sizes, 0.0), 0.0)

    def _sum(self, values: Array) -> Array:
        """(n,) from (n, blocks) of the blocks that exist, or from (n,)."""
        return values if values.ndim == 1 else np.where(self.sizes.exists, values, 0).sum(axis=1)

    # ------------------------------------------------------------ the array

    def _products(self) -> Iterator[_Product]:
        sizes, networks, act_bits = self.sizes, self.networks, self.engine.act_bits
        lanes, wide, width = self.engine.row_lanes, sizes.wide, per_block(sizes.width_tiles)
        everywhere, all_tiles = per_block(networks.tokens), per_block(sizes.tiles)
        queries, tiles, depth = self.queries, sizes.query_tiles, per_block(sizes.width_depth)
        embed_wide = sizes.wide_tiles(networks.embed_wide, sizes.width_tiles)
        head_wide = sizes.wide_tiles(networks.head_wide, sizes.class_tiles)
        yield _Product(
            tokens=networks.patches,
            tiles=sizes.patch_tiles,
            row_tiles=sizes.width_tiles,
            passes=(sizes.width_tiles + embed_wide) * (1 if act_bits == 8 else 2),
            words=sizes.patch_words,
            rows=sizes.width_tiles * lanes,
            bits=numerics.RESIDUAL_BITS,
            operand_bits=PIXEL_BITS,
            accumulates=True,
        )
        for layer, tokens, token_tiles, row_tiles, words, bits in (
            (K, everywhere, all_tiles, sizes.inner_tiles, depth, numerics.KV_BITS),
            (V, everywhere, all_tiles, sizes.inner_tiles, depth, numerics.KV_BITS),
            (Q, queries, tiles, sizes.inner_tiles, depth, act_bits),
            (PROJ, queries, tiles, width, sizes.inner_depth, numerics.RESIDUAL_BITS),
            (FC1, queries, tiles, sizes.hidden_tiles, depth, act_bits),
            (FC2, queries, tiles, width, sizes.hidden_depth, numerics.RESIDUAL_BITS),
        ):
            yield _Product(
                tokens=tokens,
                tiles=token_tiles,
                row_tiles=row_tiles,
                passes=row_tiles + wide[..., layer],
                words=words,
                rows=row_tiles * lanes,
                bits=bits,
                operand_bits=act_bits,
                accumulates=layer in (PROJ, FC2),
            )
        yield from self._attention()
        yield _Product(
            tokens=np.ones_like(sizes.class_tiles),
            tiles=1,
            row_tiles=sizes.class_tiles,
            passes=sizes.class_tiles + head_wide,
            words=sizes.width_depth,
            rows=sizes.class_tiles * lanes,
            bits=numerics.RESIDUAL_BITS,
            operand_bits=act_bits,
        )

    def _attention(self) -> Iterator[_Product]:
        """Scores and context of each head; keys and values take two passes."""
        sizes, heads, rows = self.sizes, self.networks.heads, self.engine.row_lanes
        act_bits, keys = self.engine.act_bits, per_block(sizes.key_tiles)
        yield _Product(
            tokens=self.queries,
            tiles=sizes.query_tiles,
            row_tiles=keys,
            passes=2 * keys,
            words=per_block(sizes.head_rows // self.engine.depth_lanes),
            rows=keys * rows,
            bits=numerics.SCORE_BITS,
            operand_bits=act_bits,
            weight_bits=numerics.KV_BITS,
            times=heads,
        )
        for head in range(heads.max()):
            # Whole row tiles are computed, which may hold other heads too; only its own is written.
            first, end = head * sizes.head_rows, (head + 1) * sizes.head_rows
            row_tiles = per_block(divide_up(end, rows) - first // rows)
            yield _Product(
                tokens=self.queries,
                tiles=sizes.query_tiles,
                row_tiles=row_tiles,
                passes=2 * row_tiles,
                words=per_block(sizes.value_depth),
                rows=per_block(sizes.head_rows),
                bits=act_bits,
                operand_bits=act_bits,
                weight_bits=numerics.KV_BITS,
                times=heads > head,
            )

    # ------------------------------------------------------------ the other units

    def _normalized(self) -> Array:
        """Values of all LayerNorms: the first one, and two behind each block."""
        each = self.sizes.width_tiles * self.engine.row_lanes
        return (self.networks.tokens + 2 * self._sum(self.queries)) * each

    def _softened(self) -> Array:
        """Scores of all heads and tokens."""
        keys = self.sizes.key_tiles * self.engine.row_lanes
        return self._sum(self.networks.heads * self.queries) * keys

    # ------------------------------------------------------------ memory

    def _loaded_bytes(self, phases: Phases) -> Array:
        """Of all LOADs; groups of token tiles load their weights again."""
        first = embedding_of(self.sizes)
        words = self._exponent_loads() * self.sizes.width_tiles
        again = (first.groups - 1) * phases.bytes[:, 0]
        exponents = words * self.engine.exponent_word_bytes
        return (phases.bytes.sum(axis=1) + again + first.bytes + exponents).astype(np.int64)

    def _exponent_loads(self) -> Array:
        """One for each LayerNorm."""
        return 2 * self.networks.depth + 1
