"""The parts of an integer network: layers, LayerNorms, softmax, a block's constants.

Whole numbers in floating point; why that is exact says :mod:`nas.numerics.integer`.

Source: docs/numerics.md. Reference: sim.golden.ops.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from nas.numerics.codes import INT8, INT16, look_up
from rtl.model import (
    Block,
    Classifier,
    Front,
    HeadScales,
    IntegerModel,
    Linear,
    Norm,
    Pool,
    numerics,
)
from rtl.model.numerics import code_range
from rtl.model.parts import magnitude

EXACT_FLOAT32 = 1 << 24

Record = Callable[[str, Tensor], None]
"""Takes a tensor of docs/numerics.md, section 8, with its name."""


class IntegerLinear:
    """A layer with stored weights (section 2)."""

    def __init__(
        self,
        linear: Linear,
        inputs: tuple[int, int],
        limits: tuple[int, int],
        device: torch.device,
    ) -> None:
        weight = int64_tensor(linear.weight, device).t()  # (depth, rows)
        largest = int(weight.abs().sum(0).max()) * magnitude(inputs)
        self.weight = weight.to(exact_type(largest)).contiguous()
        self.scale, self.offset = _scales(linear, device)
        self.residual_scale = 1 << linear.residual_shift
        self.limits = limits

    def __call__(self, x: Tensor) -> Tensor:
        """(..., depth) codes to (..., rows) codes, both float32."""
        return self._codes(x).float()

    def add_to(self, residual: Tensor, x: Tensor) -> Tensor:
        """Add the result for codes ``x`` to the residual stream, float64, with saturation."""
        return self._codes(x).mul_(self.residual_scale).add_(residual).clamp_(*INT16)

    def _codes(self, x: Tensor) -> Tensor:
        acc = x.to(self.weight.dtype) @ self.weight
        return requantize(acc, self.scale, self.offset, self.limits)


class IntegerNorm:
    """LayerNorm without affine (section 4)."""

    def __init__(self, norm: Norm, act_bits: int, device: torch.device) -> None:
        self.norm = norm
        self.channels = halved(1, int64_tensor(norm.exponent, device))
        self.limits = norm.range(act_bits)
        self.table = torch.tensor(numerics.rsqrt_table(), device=device)

    def __call__(self, r: Tensor) -> Tensor:
        """(..., width) residual codes, float64, to (..., width) activation codes, float32."""
        width = r.shape[-1]
        s1 = r.sum(-1, keepdim=True)
        s2 = (r * r).sum(-1, keepdim=True)
        k, e = self._rsqrt((width * s2 - s1 * s1).long() + self.norm.epsilon)
        k = (k * self.norm.gain) >> 16
        scale = halved(k, e + self.norm.shift)
        normal = (r * (width * scale)).sub_(s1 * scale).mul_(self.channels)
        return normal.add_(self.norm.zero + 0.5).floor_().clamp_(*self.limits).float()

    def _rsqrt(self, variance: Tensor) -> tuple[Tensor, Tensor]:
        """About ``2**(15 + e) / sqrt(variance)``, and e."""
        e = (_bit_length(variance) + 1) >> 1
        surplus = 2 * e - numerics.RSQRT_MANTISSA_BITS
        mantissa = (variance << (-surplus).clamp(min=0)) >> surplus.clamp(min=0)
        index = (mantissa >> numerics.RSQRT_INDEX_SHIFT) - numerics.RSQRT_INDEX_OFFSET
        y0 = self.table[index]
        p = (mantissa * ((y0 * y0) >> 17)) >> 21
        return (y0 * ((3 << 20) - p)) >> 22, e


class IntegerFront:
    """LayerNorm and matrix in front of the blocks (section 3)."""

    def __init__(self, front: Front, act_bits: int, device: torch.device) -> None:
        self.norm = IntegerNorm(front.norm, act_bits, device)
        self.layer = IntegerLinear(front.layer, front.norm.range(act_bits), INT16, device)

    def __call__(self, residual: Tensor, record: Record) -> Tensor:
        """(batch, tokens, width) to what takes its place, float64."""
        normal = self.norm(residual)
        record("front.norm", normal)
        residual = self.layer(normal).double()
        record("front", residual)
        return residual


class IntegerClassifier:
    """Final LayerNorm, mean of the patch tokens where it is asked for, head (section 7)."""

    def __init__(self, model: IntegerModel, output: Classifier, device: torch.device) -> None:
        self.norm = IntegerNorm(output.norm, model.act_bits, device)
        self.pool = output.pool and IntegerPool(model, output.norm, output.pool, device)
        signed = code_range(model.act_bits, signed=True)
        inputs = signed if output.pool else output.norm.range(model.act_bits)
        self.head = IntegerLinear(output.head, inputs, INT16, device)

    def __call__(self, residual: Tensor, record: Record) -> None:
        """The last block's tokens, (batch, final tokens, width), to the logits."""
        final = self.norm(residual)
        record("norm", final)
        if self.pool:
            final = self.pool(final, record)  # (batch, 1, width)
        record("logits", self.head(final)[:, 0])


class IntegerPool:
    """Mean of the patch tokens (section 7)."""

    def __init__(self, model: IntegerModel, norm: Norm, pool: Pool, device: torch.device) -> None:
        self.scale, self.offset = _scales(pool, device)
        self.centre = norm.centre(model.act_bits)
        self.limits = code_range(model.act_bits, signed=True)
        self.weights = (torch.arange(model.tokens, device=device) < model.shape.patches).long()

    def __call__(self, final: Tensor, record: Record) -> Tensor:
        """(batch, patches, width) activation codes to (batch, 1, width)."""
        values = final - self.centre
        record("pool.values", values)
        record("pool.weights", self.weights.expand(len(final), 1, -1))
        acc = values.sum(1, keepdim=True)
        mean = requantize(acc, self.scale, self.offset, self.limits).float()
        record("pool", mean)
        return mean


class IntegerSoftmax:
    """Attention weights relative to the row's maximum (section 5)."""

    def __init__(self, act_bits: int, tokens: int, device: torch.device) -> None:
        table = numerics.exp2_table(act_bits)
        # By distance, octaves and fraction together: one look-up for table and shift. In float32,
        # in units of a code: the 8 bits behind the point are exact, and floor drops them.
        distances = range(numerics.EXP2_MAX + 1)
        self.table = torch.tensor([table[u & 0xFF] >> (u >> 8) for u in distances]) / 256
        self.table = self.table.to(device)
        self.dither = torch.tensor([numerics.dither(j) for j in range(tokens)], device=device) / 256

    def __call__(self, scores: Tensor, scale: Tensor) -> Tensor:
        """(batch, heads, queries, keys) raw scores to unsigned activation codes, both float32."""
        return self._weights(scores, scale).add_(self.dither[: scores.shape[-1]]).floor_()

    def importance_terms(self, scores: Tensor, scale: Tensor, totals: Tensor) -> Tensor:
        """Parts of the heads in the importance of each key.

        The class token's (batch, heads, keys) raw scores, (heads, 1) scales and (batch, heads, 1)
        sums of attention weights to (batch, heads, keys), float64.
        """
        reciprocal, length = _reciprocal(totals)
        # The weights are in units of a code here, so the shift is 8 less. Products have 33 bits.
        return self._weights(scores, scale).mul(halved(reciprocal, length - 1)).floor_()

    def _weights(self, scores: Tensor, scale: Tensor) -> Tensor:
        """Attention weights before dither and rounding, in units of a code, float32."""
        distance = (scores.amax(-1, keepdim=True) - scores).double()
        octaves = distance.mul_(scale).clamp_(max=numerics.EXP2_MAX)  # int() drops the fraction
        return look_up(self.table, octaves)


class IntegerBlock:
    """The constants of one transformer block."""

    def __init__(self, block: Block, act_bits: int, device: torch.device) -> None:
        self.pools = block.pools
        self.keep = block.keep
        self.norm1 = IntegerNorm(block.norm1, act_bits, device)
        outputs = {"q": code_range(act_bits, signed=True), "k": INT8, "v": INT8, "fc1": INT8}
        self.q, self.k, self.v, self.proj, self.fc1, self.fc2 = (
            IntegerLinear(
                linear, block.input_range(name, act_bits), outputs.get(name, INT16), device
            )
            for name, linear in block.linears().items()
        )
        self.softmax = halved(*_per_head(block.softmax, device))
        self.context = _per_head(block.context, device)
        self.norm2 = IntegerNorm(block.norm2, act_bits, device)
        self.gelu = int64_tensor(block.gelu, device).float().flatten()
        self.gelu_offset = torch.full((block.hidden,), 128.0, device=device)
        if block.first_units is not None:
            self.gelu_offset[block.first_units :] += 256


def context_scale(total: Tensor, multiplier: Tensor, shift: Tensor) -> Tensor:
    """Scale that divides a context accumulator by its weights' sum (section 5), float64."""
    reciprocal, length = _reciprocal(total)
    return halved((reciprocal * multiplier) >> 15, length + shift)


def requantize(
    acc: Tensor, scale: Tensor, offset: Tensor | float, limits: tuple[int, int]
) -> Tensor:
    """``clip(floor(acc * scale + offset))`` of whole numbers, exact in float64 (section 2).

    ``scale`` is ``multiplier * 2**-shift`` and ``offset`` ``bias * scale + 1/2``: all terms are
    multiples of ``2**-shift`` below ``2**47`` of them.
    """
    codes = acc.double() if acc.dtype != torch.float64 else acc
    return codes.mul_(scale).add_(offset).floor_().clamp_(*limits)


def halved(x: Tensor | int, shift: Tensor) -> Tensor:
    """``x * 2**-shift`` of whole numbers, exact in float64 (``torch.ldexp`` uses a float32)."""
    return x / (torch.ones_like(shift) << shift).double()


def exact_type(largest: int) -> torch.dtype:
    """Type in which sums are exact whose terms' magnitudes add up to less than ``largest``."""
    return torch.float32 if largest < EXACT_FLOAT32 else torch.float64


def _scales(part: Linear | Pool, device: torch.device) -> tuple[Tensor, Tensor]:
    """Scale and offset of :func:`requantize` per row."""
    scale = halved(int64_tensor(part.multiplier, device), int64_tensor(part.shift, device))
    return scale, int64_tensor(part.bias, device) * scale + 0.5


def _reciprocal(total: Tensor) -> tuple[Tensor, Tensor]:
    """R and L of section 5, of sums of attention weights."""
    length = _bit_length(total)
    # Both are positive: // floors.
    return (torch.ones_like(length) << (15 + length)) // total.long(), length


def _bit_length(x: Tensor) -> Tensor:
    """``int.bit_length`` of positive integers below 2**53, which float64 holds exactly."""
    return torch.frexp(x.double()).exponent.long()


def int64_tensor(values: np.ndarray, device: torch.device) -> Tensor:
    """Copy to int64: torch cannot share read-only arrays, nor compute with uint32."""
    return torch.from_numpy(values.astype(np.int64)).to(device)


def _per_head(scales: HeadScales, device: torch.device) -> tuple[Tensor, Tensor]:
    """Multipliers and shifts as (heads, 1, 1)."""
    multiplier, shift = (
        torch.tensor(values, device=device).view(-1, 1, 1)
        for values in (scales.multiplier, scales.shift)
    )
    return multiplier, shift
