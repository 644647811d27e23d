"""Sizes of many networks at once, as arrays: what the vectorised cost models work on."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from nas.space import Space
from rtl.model.shape import LAYERS, NetworkShape

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Networks:
    """``n`` networks; blocks beyond a network's depth have no heads.

    Parameters
    ----------
    rows, columns : (n,) int
        Patches per column and per row of the image.
    patch, channels : (n,) int
        Pixels of a patch's side; bytes of a pixel.
    width, head_dim, classes, depth : (n,) int
    mean_pool, class_token : (n,) bool
    row_granularity : (n,) int
        Rows of a tile in ``wide``, ``embed_wide`` and ``head_wide``.
    embed_wide, head_wide : (n, tiles) bool
        Whether each row tile has 8-bit weights.
    heads, hidden : (n, blocks) int
    wide : (n, blocks, 6, tiles) bool
        The same for the layers of :data:`rtl.model.shape.LAYERS`.
    """

    rows: Array
    columns: Array
    patch: Array
    channels: Array
    width: Array
    head_dim: Array
    classes: Array
    depth: Array
    mean_pool: Array
    class_token: Array
    row_granularity: Array
    embed_wide: Array
    head_wide: Array
    heads: Array
    hidden: Array
    wide: Array

    def __len__(self) -> int:
        return len(self.width)

    def __getitem__(self, chosen: Array) -> "Networks":
        """Some of the networks: by a boolean mask, indices or a slice."""
        return Networks(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @property
    def blocks(self) -> int:
        """Places for blocks; the deepest network's depth."""
        return self.heads.shape[1]

    @property
    def patches(self) -> Array:
        """(n,) patch tokens."""
        return self.rows * self.columns

    @property
    def tokens(self) -> Array:
        """(n,) patches and the class token."""
        return self.patches + self.class_token

    @classmethod
    def of_shapes(cls, shapes: Sequence[NetworkShape]) -> "Networks":
        """Gather the sizes of shapes."""
        blocks = max(len(shape.blocks) for shape in shapes)
        heads = np.zeros((len(shapes), blocks), np.int64)
        hidden = np.zeros_like(heads)
        layers = [flags for shape in shapes for block in shape.blocks for _, flags in block.wide]
        wide = np.zeros((*heads.shape, len(LAYERS), max(map(len, layers))), bool)
        for i, shape in enumerate(shapes):
            for j, block in enumerate(shape.blocks):
                heads[i, j], hidden[i, j] = block.heads, block.hidden
                for layer, (_, flags) in enumerate(block.wide):
                    wide[i, j, layer, : len(flags)] = flags

        def array(values: list) -> Array:
            return np.array(values)

        return cls(
            rows=array([shape.grid[0] for shape in shapes]),
            columns=array([shape.grid[1] for shape in shapes]),
            patch=array([shape.patch for shape in shapes]),
            channels=array([shape.image[2] for shape in shapes]),
            width=array([shape.width for shape in shapes]),
            head_dim=array([shape.head_dim for shape in shapes]),
            classes=array([shape.classes for shape in shapes]),
            depth=array([len(shape.blocks) for shape in shapes]),
            mean_pool=array([shape.mean_pool for shape in shapes]),
            class_token=array([shape.class_token for shape in shapes]),
            row_granularity=array([shape.row_granularity for shape in shapes]),
            embed_wide=_padded([shape.embed_wide for shape in shapes]),
            head_wide=_padded([shape.head_wide for shape in shapes]),
            heads=heads,
            hidden=hidden,
            wide=wide,
        )

    @classmethod
    def of_genes(cls, space: Space, genes: Array) -> "Networks":
        """Subnets of a space, without a Python object for each.

        Parameters
        ----------
        space : Space
        genes : (n, genes) int
            As :meth:`nas.space.Space.encode` gives them.
        """
        genes = np.asarray(genes)
        count = len(genes)
        width = np.array(space.widths)[genes[:, 0]]
        depth = np.array(space.depths)[genes[:, 1]]
        block = space.block_genes(genes)
        exists = np.arange(space.depths[-1]) < depth[:, None]
        heads = np.where(exists, np.array(space.heads)[block[:, :, 0]], 0)
        ratio = np.array(space.mlp_ratios)[block[:, :, 1]]
        hidden = np.where(exists, np.rint(ratio * width[:, None]).astype(np.int64), 0)
        fractions = np.array(space.fractions)
        inner = heads * space.head_dim
        outer = np.broadcast_to(width[:, None], inner.shape)
        rows = np.stack((inner, inner, inner, outer, hidden, outer), axis=-1)
        shares = np.where(exists[:, :, None], fractions[block[:, :, 2:]], 0.0)
        wide = _wide_tiles(rows, shares, space.row_granularity)

        def same(value: int | bool) -> Array:
            return np.full(count, value)

        return cls(
            rows=same(space.image[0] // space.patch),
            columns=same(space.image[1] // space.patch),
            patch=same(space.patch),
            channels=same(space.image[2]),
            width=width,
            head_dim=same(space.head_dim),
            classes=same(space.classes),
            depth=depth,
            mean_pool=same(False),
            class_token=same(True),
            row_granularity=same(space.row_granularity),
            embed_wide=_wide_tiles(width, fractions[genes[:, 2]], space.row_granularity),
            head_wide=_wide_tiles(
                same(space.classes), fractions[genes[:, 3]], space.row_granularity
            ),
            heads=heads,
            hidden=hidden,
            wide=wide,
        )


def _wide_tiles(rows: Array, fraction: Array, granularity: int) -> Array:
    """(..., tiles) as :func:`nas.space.wide_tiles`: the first ones.

    A fraction is one of small denominator, rounded up to whole tiles.
    """
    tiles = -(-rows // granularity)
    count = np.ceil(fraction * tiles - 1e-6).astype(np.int64)
    most = tiles.max()
    return np.tri(most + 1, most, -1, dtype=bool)[count]


def _padded(flags: Sequence[Sequence[bool]]) -> Array:
    """Rows of different length as one array."""
    result = np.zeros((len(flags), max(map(len, flags))), bool)
    for i, row in enumerate(flags):
        result[i, : len(row)] = row
    return result
