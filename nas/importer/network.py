"""The canonical float network: what every importer makes, and every fold and quantizer reads.

It is a plain vision transformer: patches, perhaps a LayerNorm in front of the blocks, blocks of
attention and MLP, a final LayerNorm, perhaps a classifier. Parts that a source writes differently
(one matrix for Q, K and V; convolutions; the class token in front) are brought into the order of
docs/numerics.md by the importer.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from rtl.model import Preprocessing
from rtl.model.shape import BlockShape, NetworkShape

Part = TypeVar("Part")

ACTIVATIONS = ("erf", "tanh", "quick")
"""Kinds of GELU: x Φ(x); its approximation by tanh; x sigmoid(1.702 x)."""

POOLS = ("token", "mean", "all", "attention")
"""Tokens for the classifier or a host: the class token, the mean of the patches, every token, the
one that the last block pools them to."""


@dataclass(frozen=True, eq=False)
class Affine:
    """A linear layer, ``y = x @ weight.T + bias``.

    Parameters
    ----------
    weight : (rows, depth) float64
    bias : (rows,) float64
    """

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True, eq=False)
class LayerNorm:
    """``(x - mean) / sqrt(variance + epsilon) * weight + bias``.

    Parameters
    ----------
    weight, bias : (width,) float64
    epsilon : float
    """

    weight: Tensor
    bias: Tensor
    epsilon: float


@dataclass(frozen=True, eq=False)
class FloatBlock:
    """One transformer block: ``x += scale1 * proj(attention(norm1(x)))``, then
    ``x += scale2 * fc2(gelu(fc1(norm2(x))))``.

    A block that pools has a constant query: one token comes out, and begins with
    ``x = scale1 * proj(attention(norm1(x)))``.

    Parameters
    ----------
    heads : int
    norm1, norm2 : LayerNorm
    q, k, v : Affine
        (heads * head_dim, width); row h * head_dim + i is dimension i of head h. A constant query
        is the bias of a ``q`` without columns.
    proj : Affine
        (width, heads * head_dim).
    fc1, fc2 : Affine
        (hidden, width) and (width, hidden).
    scale1, scale2 : (width,) float64
        Layer scaling, of either sign; ones where there is none.
    activation : str
        One of :data:`ACTIVATIONS`.
    keep : int, optional
        Patches that stay behind the projection, by the class token's attention; None: all of them.
    """

    heads: int
    norm1: LayerNorm
    q: Affine
    k: Affine
    v: Affine
    proj: Affine
    scale1: Tensor
    norm2: LayerNorm
    fc1: Affine
    fc2: Affine
    scale2: Tensor
    activation: str = "erf"
    keep: int | None = None

    @property
    def hidden(self) -> int:
        return len(self.fc1.bias)

    @property
    def pools(self) -> bool:
        """Whether its query is constant."""
        return self.q.weight.shape[1] == 0


@dataclass(frozen=True, eq=False)
class FloatFront:
    """Step between patches with positions and the blocks: ``layer(norm(x))``.

    Parameters
    ----------
    norm : LayerNorm
    layer : Affine, optional
        (width, width); the identity where it is None.
    """

    norm: LayerNorm
    layer: Affine | None = None


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """A trained vision transformer, in float64.

    Parameters
    ----------
    image : (height, width, channels)
        Pixels.
    patch, head_dim : int
    mean, std : (channels,) float64
        A pixel enters as ``(pixel / 255 - mean) / std``.
    embed : Affine
        (width, patch * patch * channels), the depth in the order of docs/numerics.md, section 3.
    position : (tokens, width) float64
        What the residual stream starts with. Patches first, then registers, the class token last;
        the last two with their own embedding added.
    blocks : tuple of FloatBlock
    norm : LayerNorm, optional
        The final one; None behind a block that pools, whose ``norm1`` it is.
    head : Affine, optional
        (classes, width); without it, the network gives features.
    pool : str
        One of :data:`POOLS`.
    class_token : bool
    registers : int
        Tokens that are neither patches nor the class token.
    preprocessing : Preprocessing
        From an image file to the pixels.
    class_names : tuple of str
        Of the classifier's rows, or of the host network's outputs; may be empty without both.
    host : bytes, optional
        An ONNX model of what follows the features in the source: its input is these.
    source : dict
        Where the network comes from: ``name``, ``sha256`` of the file, ``license`` where it is
        stated, ``epsilon``, and what else the importer has to report; JSON values.
    features : Affine, optional
        Without a classifier: what multiplies the final LayerNorm; the identity where it is None.
    front : FloatFront, optional
        A LayerNorm between the patch embedding and the blocks.
    """

    image: tuple[int, int, int]
    patch: int
    head_dim: int
    mean: Tensor
    std: Tensor
    embed: Affine
    position: Tensor
    blocks: tuple[FloatBlock, ...]
    norm: LayerNorm | None
    head: Affine | None
    pool: str
    class_token: bool
    registers: int
    preprocessing: Preprocessing
    class_names: tuple[str, ...] = ()
    host: bytes | None = None
    source: dict[str, Any] = field(default_factory=dict)
    features: Affine | None = None
    front: FloatFront | None = None

    @property
    def width(self) -> int:
        return self.position.shape[1]

    @property
    def tokens(self) -> int:
        return self.position.shape[0]

    @property
    def patches(self) -> int:
        return (self.image[0] // self.patch) * (self.image[1] // self.patch)

    @property
    def others(self) -> int:
        """Tokens behind the patches."""
        return self.tokens - self.patches

    @property
    def selects(self) -> bool:
        """Whether some block lets only some of its patches stay."""
        return any(block.keep is not None for block in self.blocks)

    @property
    def sizes(self) -> NetworkShape:
        """All sizes, not yet in row tiles. Without a classifier, all tokens are the output."""
        return NetworkShape(
            image=self.image,
            patch=self.patch,
            width=self.width,
            head_dim=self.head_dim,
            classes=0 if self.head is None else len(self.head.bias),
            row_granularity=1,
            blocks=tuple(
                BlockShape(each.heads, each.hidden, bits8=(), keep=each.keep)
                for each in self.blocks
            ),
            embed_bits8=(),
            head_bits8=(),
            mean_pool=self.head is not None and self.pool == "mean",
            class_token=self.class_token,
            registers=self.registers,
            dense=self.head is None,
            front_bits8=None if self.front is None else (),
            attention_pool=self.pool == "attention",
            indexed=self.pool == "all" and any(each.keep for each in self.blocks),
        )


def affine(weight: Tensor, bias: Tensor | None = None) -> Affine:
    """Make a layer in float64; without a bias, that is 0."""
    bias = torch.zeros(len(weight)) if bias is None else bias
    return Affine(weight.double(), bias.double())


def converted(part: Part, dtype: torch.dtype, device: torch.device | str = "cpu") -> Part:
    """Convert every tensor of a network, or of a part of it, to a type and a device."""
    if isinstance(part, Tensor):
        return cast(Part, part.to(device, dtype))
    if isinstance(part, tuple):
        return cast(Part, tuple(converted(each, dtype, device) for each in part))
    if isinstance(part, Affine | LayerNorm | FloatBlock | FloatFront | FloatNetwork):
        values = {f.name: converted(getattr(part, f.name), dtype, device) for f in fields(part)}
        return replace(cast(Any, part), **values)
    return part
