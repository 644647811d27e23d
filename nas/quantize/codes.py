"""Which code every tensor of a network gets, and what is lost by it: numerics in floating point.

A :class:`NetworkCodes` with a float network of rounded weights behaves like the integer model that
is made of both, but for the rounding of multipliers: it is what scales and weights are chosen with.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from nas.importer.forward import Tap
from nas.numerics.codes import round_half_up
from rtl.model import numerics

KINDS = ("residual", "norm", "q", "k", "v", "attention", "context", "fc1", "hidden")
"""Kinds of tensors that are quantized, each a source of noise of its own."""

KIND_OF = {
    "embed": "residual",
    "front": "residual",
    "attended": "residual",
    "output": "residual",
    "norm1": "norm",
    "norm2": "norm",
    "pool": "norm",
    "logits": "residual",
}
"""The kind of a tensor, where it has another name."""


@dataclass(frozen=True, eq=False)
class Code:
    """Codes ``low`` ... ``high`` that stand for ``(code - zero) * scale``.

    Parameters
    ----------
    scale, zero : (channels,)
        Of each channel; tensors that have one scale repeat it.
    low, high : int
    """

    scale: Tensor
    zero: Tensor
    low: int
    high: int

    def __call__(self, x: Tensor) -> Tensor:
        """Round real values (..., channels) to what the nearest codes stand for."""
        return self.values(self.codes(x))

    def values(self, codes: Tensor) -> Tensor:
        """Return what (..., channels) codes stand for."""
        return (codes - self.zero) * self.scale

    def codes(self, x: Tensor) -> Tensor:
        """Return the nearest codes of (..., channels) real values, in floating point."""
        return round_half_up(x / self.scale + self.zero).clamp_(self.low, self.high)


@dataclass(frozen=True, eq=False)
class BlockCodes:
    """Codes of one block's tensors, named as in docs/numerics.md; ``fc1`` is the input of GELU.

    ``first_table_units`` hidden units share a scale, and the rest another one; None where all do.
    """

    norm1: Code
    q: Code
    k: Code
    v: Code
    context: Code
    norm2: Code
    fc1: Code
    hidden: Code
    first_table_units: int | None = None

    def tensors(self) -> dict[str, Code]:
        """Codes by the name of their tensor."""
        return {name: getattr(self, name) for name in CODED}


CODED = tuple(field.name for field in fields(BlockCodes) if field.type is Code)
"""Names of a block's tensors that have a code."""


@dataclass(frozen=True, eq=False)
class NetworkCodes:
    """Codes of a whole network.

    Parameters
    ----------
    act_bits : int
    residual : Code
        Of the residual stream, from the patch embedding to the end, or from the matrix behind a
        LayerNorm in front of the blocks.
    blocks : tuple of BlockCodes
    norm : Code, optional
        Of the final LayerNorm, in networks with a classifier.
    pool : Code, optional
        Of the mean of the patches behind it.
    logits : Code, optional
    front : Code, optional
        Of the stream in front of that LayerNorm.
    front_norm : Code, optional
        Of that LayerNorm.
    pooled : Code, optional
        Of the stream of the last block, where that pools.
    """

    act_bits: int
    residual: Code
    blocks: tuple[BlockCodes, ...]
    norm: Code | None = None
    pool: Code | None = None
    logits: Code | None = None
    front: Code | None = None
    front_norm: Code | None = None
    pooled: Code | None = None

    @property
    def start(self) -> Code:
        """The code of what patches and positions make."""
        return self.front or self.residual

    @property
    def end(self) -> Code:
        """The code of the stream that the last block writes."""
        return self.pooled or self.residual

    def written(self, block: int) -> Code:
        """The code of the stream that a block writes."""
        return self.end if block == len(self.blocks) - 1 else self.residual

    def tap(self, kinds: Iterable[str] = KINDS) -> Tap:
        """Return a tap for :func:`nas.importer.forward.forward` that quantizes.

        Parameters
        ----------
        kinds : iterable of str
            Only these, of :data:`KINDS`.
        """
        wanted = frozenset(kinds)

        def quantize(name: str, tensor: Tensor) -> Tensor:
            within = name.rpartition(".")[2]
            kind = KIND_OF.get(within, within)
            if kind not in wanted:
                return tensor
            if name in ("front.norm", "norm", "pool", "logits"):
                code = getattr(self, name.replace(".", "_"))
                return code(tensor) if code else tensor
            if kind == "residual":
                if name.startswith("blocks."):
                    return self.written(int(name.split(".")[1]))(tensor)
                return (self.start if name == "embed" else self.residual)(tensor)
            if kind == "attention":
                return rounded_attention(tensor, self.act_bits)
            return getattr(self.blocks[int(name.split(".")[1])], within)(tensor)

        return quantize


def block_tap(codes: BlockCodes, residual: Code, act_bits: int) -> Tap:
    """Return a tap for :func:`nas.importer.forward.run_block` that quantizes one block."""
    tensors: dict[str, Callable[[Tensor], Tensor]] = {
        **codes.tensors(),
        "attended": residual,
        "output": residual,
        "attention": lambda weights: rounded_attention(weights, act_bits),
    }

    def quantize(name: str, tensor: Tensor) -> Tensor:
        return tensors[name](tensor) if name in tensors else tensor

    return quantize


def rounded_attention(weights: Tensor, act_bits: int) -> Tensor:
    """Round normalised attention weights as softmax does (numerics, section 5).

    (..., queries, keys) to the same: codes relative to the largest one, by an ordered dither, over
    their sum.
    """
    top = (1 << act_bits) - 1
    keys = torch.arange(weights.shape[-1], device=weights.device)
    dither = (numerics.DITHER_STEP * keys & 0xFF) / 256
    codes = (weights * (top / weights.amax(-1, keepdim=True)) + dither).floor_()
    return codes / codes.sum(-1, keepdim=True)
