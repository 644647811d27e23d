"""The sizes of a network, without its weights: what cycles, memory and the program depend on."""

from dataclasses import dataclass, replace
from math import ceil

from rtl.errors import UserError

LAYERS = ("q", "k", "v", "proj", "fc1", "fc2")  # of a block, in the order of their execution


@dataclass(frozen=True)
class BlockShape:
    """Sizes of one transformer block.

    Parameters
    ----------
    heads : int
        Attention heads.
    hidden : int
        Hidden units of the MLP.
    bits8 : tuple of (str, tuple of bool)
        Per layer in :data:`LAYERS` order ``(name, flags)``; ``flags[i]`` is true where row tile
        ``i`` (``row_granularity`` rows) holds 8-bit weights.
    first_table_units : int, optional
        Hidden units that the first of two GELU tables is for, a whole number of row tiles; None
        where one table is for all.
    keep : int, optional
        Patch tokens that remain behind the attention and its projection; None where all do. What
        it may be says :func:`rtl.model.keep.check_keep`.
    """

    heads: int
    hidden: int
    bits8: tuple[tuple[str, tuple[bool, ...]], ...]
    first_table_units: int | None = None
    keep: int | None = None


@dataclass(frozen=True)
class NetworkShape:
    """Sizes of a vision transformer.

    Parameters
    ----------
    image : tuple of int
        (height, width, channels) in pixels.
    patch : int
        Patch size in pixels.
    width : int
        Embedding width.
    head_dim : int
        Dimensions per head.
    classes : int
        Rows of the head.
    row_granularity : int
        Rows per tile of the width flags.
    blocks : tuple of BlockShape
    embed_bits8, head_bits8 : tuple of bool
        Width flags of patch embedding and head, as in :class:`BlockShape`.
    mean_pool : bool
        Whether the head works on the mean of the patch tokens instead of the class token.
    class_token : bool
        Whether there is one, behind all other tokens.
    registers : int
        Tokens between the patches and the class token that have no patch.
    dense : bool
        Whether the residual words of all tokens are the output. There is no classifier then, and no
        final LayerNorm: ``classes`` is 0, ``head_bits8`` empty, ``mean_pool`` false.
    attention_pool : bool
        Whether the last block pools by attention: with a constant query, to one token, which takes
        the place of the last one. It is the output; ``dense`` is true.
    indexed : bool
        Whether each token of the output has its index in the image beside it: features are of every
        token, and some were dropped. ``dense`` is true.
    front_bits8 : tuple of bool, optional
        Width flags of the matrix between the patch embedding and the blocks, behind a LayerNorm of
        its own; None where there is none.
    """

    image: tuple[int, int, int]
    patch: int
    width: int
    head_dim: int
    classes: int
    row_granularity: int
    blocks: tuple[BlockShape, ...]
    embed_bits8: tuple[bool, ...]
    head_bits8: tuple[bool, ...]
    mean_pool: bool = False
    class_token: bool = True
    registers: int = 0
    dense: bool = False
    front_bits8: tuple[bool, ...] | None = None
    attention_pool: bool = False
    indexed: bool = False

    @property
    def grid(self) -> tuple[int, int]:
        """Patches per column and per row of the image."""
        return self.image[0] // self.patch, self.image[1] // self.patch

    @property
    def patches(self) -> int:
        return self.grid[0] * self.grid[1]

    @property
    def others(self) -> int:
        """Tokens behind the patches: registers, and the class token if there is one."""
        return self.registers + self.class_token

    @property
    def tokens(self) -> int:
        """Patches, registers, and the class token if there is one: in front of the blocks."""
        return self.patches + self.others

    @property
    def selects(self) -> bool:
        """Whether some block keeps only some of its patches."""
        return any(block.keep is not None for block in self.blocks)

    @property
    def keep(self) -> dict[int, int]:
        """Patches that stay, by block: of those that keep only some."""
        kept = enumerate(block.keep for block in self.blocks)
        return {block: keep for block, keep in kept if keep is not None}

    def patches_in(self, block: int) -> int:
        """Patches that enter a block; ``len(blocks)``: those that leave the last one."""
        kept = [block.keep for block in self.blocks[:block] if block.keep is not None]
        return kept[-1] if kept else self.patches

    def tokens_in(self, block: int) -> int:
        """Tokens that enter a block and its attention; ``len(blocks)``: that leave the last one.

        The MLP of block ``i`` works on ``tokens_in(i + 1)``.
        """
        return self.patches_in(block) + self.others

    @property
    def final_tokens(self) -> range:
        """Tokens that the last block computes. Of all others it computes K and V."""
        tokens = self.tokens_in(len(self.blocks))
        if self.dense and not self.attention_pool:
            return range(tokens)
        return range(self.patches) if self.mean_pool else range(tokens - 1, tokens)

    @property
    def patch_values(self) -> int:
        """Pixels of one patch, all channels: the depth of the patch embedding."""
        return self.patch * self.patch * self.image[2]

    def pools(self, block: int) -> bool:
        """Whether a block pools by attention."""
        return self.attention_pool and block == len(self.blocks) - 1

    def layer_sizes(self, block: int) -> dict[str, tuple[int, int]]:
        """``{layer: (rows, depth)}`` of one block; a constant query has depth 0."""
        inner = self.blocks[block].heads * self.head_dim
        hidden = self.blocks[block].hidden
        attention = (inner, self.width)
        return {
            "q": (inner, 0) if self.pools(block) else attention,
            "k": attention,
            "v": attention,
            "proj": (self.width, inner),
            "fc1": (hidden, self.width),
            "fc2": (self.width, hidden),
        }

    def row_tiles(self, rows: int) -> int:
        """Tiles of ``row_granularity`` rows that hold ``rows`` rows."""
        return ceil(rows / self.row_granularity)

    def with_row_tiles(self, rows: int, bits8: float = 0.0) -> "NetworkShape":
        """Return the same sizes in row tiles of ``rows`` rows, with new flags of their widths.

        Parameters
        ----------
        rows : int
            The new ``row_granularity``.
        bits8 : float
            Fraction of 8-bit row tiles in each matrix, rounded up to whole tiles. The patch
            embedding has none, and the matrix in front of the blocks no others.

        Raises
        ------
        UserError
            If ``bits8`` is not a fraction.
        """
        if not 0 <= bits8 <= 1:
            raise UserError(f"the fraction of 8-bit rows must be from 0 to 1, not {bits8:g}")

        def flags(count: int, fraction: float = bits8) -> tuple[bool, ...]:
            tiles = ceil(count / rows)
            return tuple(tile < fraction * tiles for tile in range(tiles))

        def block(index: int) -> BlockShape:
            sizes = self.layer_sizes(index).items()
            layers = tuple(
                (name, flags(rows, bits8 if depth else 0.0)) for name, (rows, depth) in sizes
            )
            return replace(self.blocks[index], bits8=layers)

        return replace(
            self,
            row_granularity=rows,
            blocks=tuple(map(block, range(len(self.blocks)))),
            embed_bits8=flags(self.width, 0.0),
            head_bits8=flags(self.classes),
            front_bits8=None if self.front_bits8 is None else flags(self.width, 1.0),
        )


def plain_vit(
    *,
    image: tuple[int, int, int] = (224, 224, 3),
    patch: int = 16,
    width: int,
    heads: int,
    head_dim: int = 64,
    hidden: int | None = None,
    depth: int = 12,
    classes: int = 1000,
    row_granularity: int,
    bits8: float = 0.0,
    mean_pool: bool = False,
    class_token: bool = True,
) -> NetworkShape:
    """The shape of a vision transformer whose blocks are all alike.

    Parameters
    ----------
    image, patch, width, head_dim, classes, row_granularity, mean_pool, class_token
        As in :class:`NetworkShape`.
    heads, hidden : int
        Heads and hidden units of every block; ``hidden`` is four times the width by default.
    depth : int
        Blocks.
    bits8 : float
        As in :meth:`NetworkShape.with_row_tiles`.
    """
    block = BlockShape(heads, hidden or 4 * width, bits8=())
    shape = NetworkShape(
        image=image,
        patch=patch,
        width=width,
        head_dim=head_dim,
        classes=classes,
        row_granularity=row_granularity,
        blocks=(block,) * depth,
        embed_bits8=(),
        head_bits8=(),
        mean_pool=mean_pool,
        class_token=class_token,
    )
    return shape.with_row_tiles(row_granularity, bits8)
