"""The search space: which vision transformers a supernet contains, and one point of it.

A :class:`Space` lists the choices; an :class:`Arch` takes one of each. Neither knows weights. An
:class:`Arch` becomes a :class:`rtl.model.shape.NetworkShape`, which the latency and resource models
and the compiler understand, once the supernet's frozen :data:`TileOrder` says *which* row tiles
are the sensitive ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import ceil
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from nas.keep import Keep, check_keeps, kept_counts, share_of
from rtl.model.shape import LAYERS, BlockShape, NetworkShape

TileOrder = Mapping[str, Sequence[int]]
"""Per matrix (``embed``, ``blocks.i.q`` ..., ``head``) the row tiles of the *full-size* matrix,
most sensitive first. A subnet drops those that it does not have. Missing: 0, 1, 2, ..."""

NATURAL_ORDER: TileOrder = {}

POOLS = ("token", "mean")
NETWORK_GENES = 4  # width, depth, embed_bits8, head_bits8
BLOCK_GENES = 2 + len(LAYERS)  # heads, mlp_ratio, and the fractions of the layers


@dataclass(frozen=True)
class BlockArch:
    """One transformer block of a subnet.

    Parameters
    ----------
    heads : int
        Attention heads.
    mlp_ratio : float
        Hidden units of the MLP over the network's width.
    bits8 : dict of str to float
        Per layer of :data:`rtl.model.shape.LAYERS` the fraction of row tiles with 8-bit weights.
    keep : int or float, optional
        Patch tokens that stay behind the attention: a share of those that enter the block, below
        1, or their number; None where all do.
    """

    heads: int
    mlp_ratio: float
    bits8: Mapping[str, float]
    keep: Keep | None = None

    def __post_init__(self) -> None:
        if tuple(self.bits8) != LAYERS:
            raise ValueError(
                f"bits8 must name the layers {LAYERS} in order, not {list(self.bits8)}"
            )

    def __hash__(self) -> int:
        return hash((self.heads, self.mlp_ratio, tuple(self.bits8.items()), self.keep))


@dataclass(frozen=True)
class Arch:
    """A subnet: everything that is chosen, nothing that is trained.

    Parameters
    ----------
    width : int
        Embedding width.
    embed_bits8, head_bits8 : float
        Fraction of 8-bit row tiles in the patch embedding and in the head.
    blocks : tuple of BlockArch
    """

    width: int
    embed_bits8: float
    head_bits8: float
    blocks: tuple[BlockArch, ...]

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    def hidden(self, block: int) -> int:
        """Hidden units of block ``block``."""
        return round(self.blocks[block].mlp_ratio * self.width)

    def fraction(self, matrix: str) -> float:
        """Fraction of 8-bit row tiles of ``embed``, ``head`` or ``blocks.i.LAYER``."""
        if matrix == "embed":
            return self.embed_bits8
        if matrix == "head":
            return self.head_bits8
        _, block, layer = matrix.split(".")
        return self.blocks[int(block)].bits8[layer]

    def to_json(self) -> dict[str, Any]:
        """Return plain dictionaries, lists and numbers; :meth:`from_json` is the inverse.

        A block that keeps all patches has no ``keep``.
        """
        return TypeAdapter(Arch).dump_python(self, mode="json", exclude_none=True)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Arch":
        """Build an :class:`Arch` from what :meth:`to_json` gave.

        Raises
        ------
        ValueError
            If a key is missing, or a value wrong; names it.
        """
        return TypeAdapter(Arch).validate_python(data)


@dataclass(frozen=True)
class Space:
    """The choices of every elastic size, in rising order, and the sizes that are fixed.

    Parameters
    ----------
    image : tuple of int
        (height, width, channels) in pixels.
    patch : int
        Patch size in pixels.
    classes : int
        Rows of the head.
    head_dim : int
        Dimensions per head.
    widths, depths, heads : tuple of int
        Choices of embedding width, number of blocks, attention heads per block.
    mlp_ratios : tuple of float
        Choices of hidden units over width, per block.
    fractions : tuple of float
        Choices of the fraction of 8-bit row tiles, per matrix.
    row_granularity : int
        Rows of a tile.
    pool : str
        Input of the head: ``"token"``, the class token, or ``"mean"``, that of the patches, without
        a class token.
    keeps : tuple of int or float
        Choices of the patch tokens that stay behind a block, beside all of them: shares below 1 of
        those that enter it, rounded up, or their numbers. The last block keeps all. () has no such
        choice.

    Raises
    ------
    ValueError
        If a list of choices is empty, not rising, or does not fit the image.
    """

    image: tuple[int, int, int]
    patch: int
    classes: int
    head_dim: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    mlp_ratios: tuple[float, ...]
    fractions: tuple[float, ...]
    row_granularity: int
    pool: str = "token"
    keeps: tuple[Keep, ...] = ()

    def __post_init__(self) -> None:
        for name in ("widths", "depths", "heads", "mlp_ratios", "fractions"):
            choices = getattr(self, name)
            if not choices or list(choices) != sorted(set(choices)):
                raise ValueError(f"{name} must be a rising list of choices, not {choices}")
            if name != "fractions" and choices[0] <= 0:
                raise ValueError(f"{name} must be positive, not {choices}")
        if self.fractions[0] < 0 or self.fractions[-1] > 1:
            raise ValueError(f"fractions must lie in 0 ... 1, not {self.fractions}")
        if self.image[0] % self.patch or self.image[1] % self.patch:
            raise ValueError(f"image {self.image[:2]} must be a multiple of patch {self.patch}")
        if self.pool not in POOLS:
            raise ValueError(f"pool must be one of {POOLS}, not {self.pool!r}")
        if self.keeps:
            check_keeps(self.keeps, self.patches)
        if self.keeps and self.mean_pool:
            raise ValueError(
                f"keeps must be () with pool 'mean', not {self.keeps}: a class token chooses"
            )

    # --- special points -------------------------------------------------------------------

    def largest(self, fraction: float | None = None) -> Arch:
        """Return the largest subnet, all matrices at ``fraction`` (default: the highest)."""
        return self._at(-1, self.fractions[-1] if fraction is None else fraction)

    def smallest(self, fraction: float | None = None) -> Arch:
        """Return the smallest subnet, all matrices at ``fraction`` (default: the lowest)."""
        return self._at(0, self.fractions[0] if fraction is None else fraction)

    def most_selecting(self) -> Arch:
        """Return the smallest subnet of the greatest depth: it selects if any does."""
        return self.decode([0, len(self.depths) - 1, *[0] * len(self.gene_choices[2:])])

    def uniform(self) -> list[Arch]:
        """Return all subnets with one choice of everything for all blocks."""
        choices = self.widths, self.depths, self.heads, self.mlp_ratios, self.fractions
        found = (_uniform(*each) for each in product(*choices, self.keep_choices))
        return [*dict.fromkeys(map(self._without_idle, found))]

    def _at(self, index: int, fraction: float) -> Arch:
        width, depth = self.widths[index], self.depths[index]
        heads, ratio = self.heads[index], self.mlp_ratios[index]
        found = _uniform(width, depth, heads, ratio, fraction, self.keep_choices[index])
        return self._without_idle(found)

    # --- integer vectors: what an evolutionary search works on ------------------------------

    @property
    def gene_choices(self) -> tuple[int, ...]:
        """Number of choices of each gene; gene ``g`` takes 0 ... ``gene_choices[g] - 1``.

        Order: width, depth, embed_bits8, head_bits8, then for each of ``depths[-1]`` blocks heads,
        mlp_ratio, the fractions of :data:`rtl.model.shape.LAYERS`, and, in a space that has such
        choices, keep. Genes of blocks beyond an arch's depth have no effect, nor has the last
        block's keep.
        """
        fraction = len(self.fractions)
        block = (len(self.heads), len(self.mlp_ratios)) + (fraction,) * len(LAYERS)
        if self.keeps:
            block += (len(self.keep_choices),)
        return (len(self.widths), len(self.depths), fraction, fraction) + block * self.depths[-1]

    @property
    def keep_choices(self) -> tuple[Keep | None, ...]:
        """Choices of a block's keep, in rising order; None, all patches, is the last."""
        return (*self.keeps, None)

    @property
    def block_genes(self) -> int:
        """Number of genes of a block."""
        return BLOCK_GENES + bool(self.keeps)

    def active_genes(self, depth: int) -> np.ndarray:
        """Return the positions of the genes that have an effect in archs of a depth."""
        active = NETWORK_GENES + self.block_genes * depth
        return np.arange(active - bool(self.keeps))

    def encode(self, arch: Arch) -> np.ndarray:
        """Return ``arch`` as an int64 vector of choice indexes; absent blocks count as 0.

        Raises
        ------
        ValueError
            If ``arch`` takes a value that the space does not list.
        """
        genes = [
            _index("width", self.widths, arch.width),
            _index("depth", self.depths, arch.depth),
            _index("embed_bits8", self.fractions, arch.embed_bits8),
            _index("head_bits8", self.fractions, arch.head_bits8),
        ]
        for block in arch.blocks:
            genes.append(_index("heads", self.heads, block.heads))
            genes.append(_index("mlp_ratio", self.mlp_ratios, block.mlp_ratio))
            genes += [_index(f"bits8 {k}", self.fractions, v) for k, v in block.bits8.items()]
            keep = _index("keep", self.keep_choices, block.keep)
            genes += [keep] if self.keeps else []
        genes += [0] * (len(self.gene_choices) - len(genes))
        return np.array(genes, dtype=np.int64)

    def decode(self, genes: Sequence[int] | np.ndarray) -> Arch:
        """Return the arch of a vector of choice indexes: the inverse of :meth:`encode`.

        A keep that would drop nothing, as in the last block, becomes None.
        """
        if len(genes) != len(self.gene_choices):
            raise ValueError(f"expected {len(self.gene_choices)} genes, not {len(genes)}")
        values = iter(int(gene) for gene in genes)
        width, depth = self.widths[next(values)], self.depths[next(values)]
        embed_bits8, head_bits8 = self.fractions[next(values)], self.fractions[next(values)]
        blocks = []
        for _ in range(depth):
            heads, ratio = self.heads[next(values)], self.mlp_ratios[next(values)]
            bits8 = {layer: self.fractions[next(values)] for layer in LAYERS}
            keep = self.keep_choices[next(values)] if self.keeps else None
            blocks.append(BlockArch(heads, ratio, bits8, keep))
        return self._without_idle(Arch(width, embed_bits8, head_bits8, tuple(blocks)))

    def _without_idle(self, arch: Arch) -> Arch:
        """Clear the keeps that drop nothing."""
        if not self.keeps:
            return arch
        *counts, _ = self.kept(arch)
        counted = zip(arch.blocks, (*counts, None), strict=True)
        blocks = (replace(b, keep=b.keep if count is not None else None) for b, count in counted)
        return replace(arch, blocks=tuple(blocks))

    # --- random points -----------------------------------------------------------------------

    def sample(self, rng: np.random.Generator, *, width: int | None = None) -> Arch:
        """Draw every choice uniformly; ``width`` fixes that one."""
        genes = rng.integers(0, self.gene_choices)
        if width is not None:
            genes[0] = _index("width", self.widths, width)
        return self.decode(genes)

    def mutate(self, arch: Arch, rng: np.random.Generator, rate: float = 0.1) -> Arch:
        """Redraw each choice with probability ``rate``, and at least one that has an effect."""
        choices, present = np.array(self.gene_choices), self.block_genes * arch.depth
        active = self.active_genes(arch.depth)
        flip = rng.random(len(choices)) < rate
        if not flip[active].any():
            flip[active[rng.integers(len(active))]] = True
        # Genes of absent blocks are random, so that a mutation of depth adds a random block.
        genes = rng.integers(0, choices)
        known = slice(NETWORK_GENES + present)
        genes[known] = np.where(flip, genes, self.encode(arch))[known]
        return self.decode(genes)

    def crossover(self, a: Arch, b: Arch, rng: np.random.Generator) -> Arch:
        """Take each size of the network, and each block as a whole, from one of two parents."""
        first, second = self.encode(a), self.encode(b)
        take = np.repeat(
            rng.random(NETWORK_GENES + self.depths[-1]) < 0.5,
            [1] * NETWORK_GENES + [self.block_genes] * self.depths[-1],
        )
        genes = np.where(take, second, first)
        # A block that the chosen parent lacks comes from the one that has it.
        for block in range(self.depths[-1]):
            start = NETWORK_GENES + block * self.block_genes
            where = slice(start, start + self.block_genes)
            if block >= a.depth:
                genes[where] = second[where]
            elif block >= b.depth:
                genes[where] = first[where]
        return self.decode(genes)

    def tiled(self, row_lanes: int) -> "Space":
        """Return the space in row tiles that are whole ones of an engine."""
        return replace(self, row_granularity=max(self.row_granularity, row_lanes))

    @property
    def mean_pool(self) -> bool:
        """Whether the head works on the mean of the patches."""
        return self.pool == "mean"

    # --- sizes -------------------------------------------------------------------------------

    @property
    def patches(self) -> int:
        """Patches of an image."""
        return self.image[0] // self.patch * (self.image[1] // self.patch)

    def kept(self, arch: Arch) -> list[int | None]:
        """Return the patch tokens that stay behind each block; None where all of them do."""
        return kept_counts((block.keep for block in arch.blocks), self.patches)

    def shape(self, arch: Arch, order: TileOrder = NATURAL_ORDER) -> NetworkShape:
        """Return the sizes of ``arch``, with its 8-bit tiles as ``order`` ranks them."""

        def bits8(matrix: str, rows: int) -> tuple[bool, ...]:
            tiles = ceil(rows / self.row_granularity)
            return bits8_tiles(tiles, arch.fraction(matrix), order.get(matrix))

        blocks, kept = [], self.kept(arch)
        for i, block in enumerate(arch.blocks):
            inner, hidden = block.heads * self.head_dim, arch.hidden(i)
            sizes = (inner, inner, inner, arch.width, hidden, arch.width)
            rows = dict(zip(LAYERS, sizes, strict=True))
            flags = tuple((layer, bits8(f"blocks.{i}.{layer}", rows[layer])) for layer in LAYERS)
            blocks.append(BlockShape(block.heads, hidden, flags, keep=kept[i]))
        return NetworkShape(
            image=self.image,
            patch=self.patch,
            width=arch.width,
            head_dim=self.head_dim,
            classes=self.classes,
            row_granularity=self.row_granularity,
            blocks=tuple(blocks),
            embed_bits8=bits8("embed", arch.width),
            head_bits8=bits8("head", self.classes),
            mean_pool=self.mean_pool,
            class_token=not self.mean_pool,
        )


def _uniform(
    width: int,
    depth: int,
    heads: int,
    mlp_ratio: float,
    fraction: float,
    keep: Keep | None,
) -> Arch:
    bits8: dict[str, float] = dict.fromkeys(LAYERS, fraction)
    block = BlockArch(heads, mlp_ratio, bits8, keep)
    return Arch(width, fraction, fraction, (block,) * depth)


def bits8_tiles(
    tiles: int, fraction: float, order: Sequence[int] | None = None
) -> tuple[bool, ...]:
    """Flag the ``ceil(fraction * tiles)`` most sensitive of the first ``tiles`` tiles.

    >>> bits8_tiles(4, 0.5, order=(5, 2, 0, 1, 3, 4))
    (True, False, True, False)
    """
    present = [tile for tile in (order or range(tiles)) if tile < tiles]
    if len(present) != tiles:
        raise ValueError(f"the order must rank all of {tiles} tiles, not {len(present)}")
    chosen = set(present[: share_of(fraction, tiles)])
    return tuple(tile in chosen for tile in range(tiles))


def _index(name: str, choices: Sequence[float | None], value: float | None) -> int:
    if value not in choices:
        raise ValueError(f"{name} must be one of {choices}, not {value}")
    return choices.index(value)
