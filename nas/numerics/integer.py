"""The integer model in PyTorch: batches of images on CPU or GPU, every code equal to golden's.

This is how accuracy is measured. Codes are whole numbers in floating point, exact by construction:
sums below 2**24 in float32, or below 2**53 in float64, round nowhere, in whatever order. Matrices
are in float32 where the sum of magnitudes proves that bound, and in float64 elsewhere. Rescaling is
in float64: accumulator times multiplier has at most 47 bits, and powers of two are exact. TF32
changes nothing, as it keeps 11 bits of a factor, and codes have at most 8.

Source: docs/numerics.md. Reference: sim.golden.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from nas.numerics.codes import INT8, INT16, look_up
from nas.numerics.reshape import join_heads, patches_of, split_heads
from rtl.model import (
    Block,
    Classifier,
    Features,
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

CHUNK_VALUES = 1 << 20  # of the largest tensor: chunks of a batch that stay near the caches
CHUNK_VALUES_GPU = 1 << 24
EXACT_FLOAT32 = 1 << 24

Record = Callable[[str, Tensor], None]


class IntegerNetwork:
    """Executes an integer model with torch tensors.

    Parameters
    ----------
    model : IntegerModel
        Valid, as every :class:`~rtl.model.IntegerModel` is: the proof that its accumulators stay
        below 2**26 is part of the proof that all of this is exact.
    device : torch.device or str
        Device of the tensors.
    """

    def __init__(self, model: IntegerModel, device: torch.device | str = "cpu") -> None:
        self.model = model
        self.device = torch.device(device)
        self._position = _tensor(model.position, self.device).double()
        pixels = code_range(8, signed=False)
        self._embed = _Linear(model.embed, pixels, INT16, self.device)
        self._front = model.front and _Front(model.front, model.act_bits, self.device)
        self._blocks = [_Block(block, model.act_bits, self.device) for block in model.blocks]
        self._classifier = (
            None
            if isinstance(model.output, Features)
            else _Classifier(model, model.output, self.device)
        )
        self._softmax = _Softmax(model.act_bits, model.tokens, self.device)
        self._context_range = code_range(model.act_bits, signed=True)
        attention = model.tokens * ((1 << model.act_bits) - 1) * magnitude(INT8)
        self._attention_type = _exact_type(attention)

    @torch.no_grad()
    def run(self, images: Tensor, *, tensors: dict[str, Tensor] | None = None) -> Tensor:
        """Compute the output of images.

        Parameters
        ----------
        images : (batch, height, width, channels) uint8
        tensors : dict, optional
            Receives every tensor of numerics section 8 by name, each ``(batch, *shape)`` int32,
            in the order of execution.

        Returns
        -------
        (batch, classes) int32
            Logits. Where the model's output is tokens: their residual words, (batch, tokens,
            width), or (batch, 1, width) of the pooled one.

        Raises
        ------
        ValueError
            If ``images`` has another type or shape.
        """
        if images.dtype != torch.uint8 or tuple(images.shape[1:]) != self.model.image:
            raise ValueError(
                f"images must be uint8 (batch, {', '.join(map(str, self.model.image))}),"
                f" not {images.dtype} {tuple(images.shape)}"
            )
        chunks: dict[str, list[Tensor]] = {}

        def record(name: str, tensor: Tensor) -> None:
            if tensors is not None or name == self.model.output_tensor:
                chunks.setdefault(name, []).append(tensor.to(torch.int32))

        for chunk in images.split(self._chunk_images()):
            self._compute(chunk.to(self.device), record)
        if tensors is not None:
            tensors.update((name, torch.cat(parts)) for name, parts in chunks.items())
        return torch.cat(chunks[self.model.output_tensor])

    def _chunk_images(self) -> int:
        model = self.model
        per_token = max(max(block.hidden, block.heads * model.tokens) for block in model.blocks)
        values = CHUNK_VALUES if self.device.type == "cpu" else CHUNK_VALUES_GPU
        return max(1, values // (model.tokens * max(per_token, model.width)))

    def _compute(self, images: Tensor, record: Record) -> None:
        residual = self._preload(images, record)  # (batch, tokens, width)
        if self._front:
            residual = self._front(residual, record)
        for i, block in enumerate(self._blocks):

            def record_in_block(name: str, tensor: Tensor, prefix: str = f"blocks.{i}") -> None:
                record(f"{prefix}.{name}", tensor)

            last = i == len(self._blocks) - 1
            queries = self.model.shape.final_tokens if last else range(self.model.tokens)
            residual = self._block(block, residual, queries, record_in_block)
        if self._classifier:
            self._classifier(residual, record)

    def _preload(self, images: Tensor, record: Record) -> Tensor:
        """Pixels to the residual stream: (batch, tokens, width)."""
        pixels = patches_of(images, self.model.patch).float()  # (batch, patches, patch values)
        record("pixels", pixels)
        residual = self._position.repeat(len(images), 1, 1)
        # Registers and the class token, behind the patches, have none.
        patches = slice(pixels.shape[1])
        residual[:, patches] = self._embed.add_to(residual[:, patches], pixels)
        record("embed", residual)
        return residual

    def _block(self, block: "_Block", residual: Tensor, queries: range, record: Record) -> Tensor:
        """(batch, tokens, width) to (batch, queries, width)."""
        norm1 = block.norm1(residual)
        record("norm1", norm1)
        needed = slice(queries.start, queries.stop)
        context = self._attention(block, norm1[:, needed], norm1, record)
        residual = residual[:, needed]
        if block.pools:
            residual = torch.zeros_like(residual)  # of the query, nothing stays
        residual = block.proj.add_to(residual, context)
        record("attended", residual)
        norm2 = block.norm2(residual)
        record("norm2", norm2)
        hidden = look_up(block.gelu, block.fc1(norm2) + block.gelu_offset)
        record("hidden", hidden)
        residual = block.fc2.add_to(residual, hidden)
        record("output", residual)
        return residual

    def _attention(self, block: "_Block", queries: Tensor, keys: Tensor, record: Record) -> Tensor:
        """(batch, queries, width), (batch, keys, width) to (batch, queries, heads * head_dim)."""
        q = block.q(queries[..., :0] if block.pools else queries)
        k, v = block.k(keys), block.v(keys)
        for name, tensor in (("q", q), ("k", k), ("v", v)):
            record(name, tensor)
        q, k, v = (split_heads(tensor, self.model.head_dim) for tensor in (q, k, v))
        # At most 22 bits: docs/numerics.md, section 2.
        scores = q @ k.transpose(-1, -2)  # (batch, heads, queries, keys)
        record("scores", scores)
        weights = self._softmax(scores, block.softmax)
        record("attention", weights)
        kind = self._attention_type
        acc = weights.to(kind) @ v.to(kind)  # (batch, heads, queries, head_dim)
        scale = _context_scale(weights.sum(-1, keepdim=True), *block.context)
        context = join_heads(_requantize(acc, scale, 0.5, self._context_range))
        record("context", context)
        return context


class _Linear:
    """A layer with stored weights (section 2)."""

    def __init__(
        self,
        linear: Linear,
        inputs: tuple[int, int],
        limits: tuple[int, int],
        device: torch.device,
    ) -> None:
        weight = _tensor(linear.weight, device).t()  # (depth, rows)
        largest = int(weight.abs().sum(0).max()) * magnitude(inputs)
        self.weight = weight.to(_exact_type(largest)).contiguous()
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
        return _requantize(acc, self.scale, self.offset, self.limits)


class _Norm:
    """LayerNorm without affine (section 4)."""

    def __init__(self, norm: Norm, act_bits: int, device: torch.device) -> None:
        self.norm = norm
        self.channels = _halved(1, _tensor(norm.exponent, device))
        self.limits = norm.range(act_bits)
        self.table = torch.tensor(numerics.rsqrt_table(), device=device)

    def __call__(self, r: Tensor) -> Tensor:
        """(..., width) residual codes, float64, to (..., width) activation codes, float32."""
        width = r.shape[-1]
        s1 = r.sum(-1, keepdim=True)
        s2 = (r * r).sum(-1, keepdim=True)
        k, e = self._rsqrt((width * s2 - s1 * s1).long() + self.norm.epsilon)
        k = (k * self.norm.gain) >> 16
        scale = _halved(k, e + self.norm.shift)
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


class _Front:
    """LayerNorm and matrix in front of the blocks (section 3)."""

    def __init__(self, front: Front, act_bits: int, device: torch.device) -> None:
        self.norm = _Norm(front.norm, act_bits, device)
        self.layer = _Linear(front.layer, front.norm.range(act_bits), INT16, device)

    def __call__(self, residual: Tensor, record: Record) -> Tensor:
        """(batch, tokens, width) to what takes its place, float64."""
        normal = self.norm(residual)
        record("front.norm", normal)
        residual = self.layer(normal).double()
        record("front", residual)
        return residual


class _Classifier:
    """Final LayerNorm, mean of the patch tokens where it is asked for, head (section 7)."""

    def __init__(self, model: IntegerModel, output: Classifier, device: torch.device) -> None:
        self.norm = _Norm(output.norm, model.act_bits, device)
        self.pool = output.pool and _Pool(model, output.norm, output.pool, device)
        signed = code_range(model.act_bits, signed=True)
        inputs = signed if output.pool else output.norm.range(model.act_bits)
        self.head = _Linear(output.head, inputs, INT16, device)

    def __call__(self, residual: Tensor, record: Record) -> None:
        """The last block's tokens, (batch, final tokens, width), to the logits."""
        final = self.norm(residual)
        record("norm", final)
        if self.pool:
            final = self.pool(final, record)  # (batch, 1, width)
        record("logits", self.head(final)[:, 0])


class _Pool:
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
        mean = _requantize(acc, self.scale, self.offset, self.limits).float()
        record("pool", mean)
        return mean


class _Softmax:
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
        distance = (scores.amax(-1, keepdim=True) - scores).double()
        octaves = distance.mul_(scale).clamp_(max=numerics.EXP2_MAX)  # int() drops the fraction
        return look_up(self.table, octaves).add_(self.dither).floor_()


class _Block:
    """The constants of one transformer block."""

    def __init__(self, block: Block, act_bits: int, device: torch.device) -> None:
        self.pools = block.pools
        self.norm1 = _Norm(block.norm1, act_bits, device)
        outputs = {"q": code_range(act_bits, signed=True), "k": INT8, "v": INT8, "fc1": INT8}
        self.q, self.k, self.v, self.proj, self.fc1, self.fc2 = (
            _Linear(linear, block.input_range(name, act_bits), outputs.get(name, INT16), device)
            for name, linear in block.linears().items()
        )
        self.softmax = _halved(*_per_head(block.softmax, device))
        self.context = _per_head(block.context, device)
        self.norm2 = _Norm(block.norm2, act_bits, device)
        self.gelu = _tensor(block.gelu, device).float().flatten()
        self.gelu_offset = torch.full((block.hidden,), 128.0, device=device)
        if block.first_units is not None:
            self.gelu_offset[block.first_units :] += 256


def _context_scale(total: Tensor, multiplier: Tensor, shift: Tensor) -> Tensor:
    """Scale that divides a context accumulator by its weights' sum (section 5), float64."""
    total = total.long()
    length = _bit_length(total)
    # Both are positive: // floors.
    reciprocal = (torch.ones_like(total) << (15 + length)) // total
    return _halved((reciprocal * multiplier) >> 15, length + shift)


def _requantize(
    acc: Tensor, scale: Tensor, offset: Tensor | float, limits: tuple[int, int]
) -> Tensor:
    """``clip(floor(acc * scale + offset))`` of whole numbers, exact in float64 (section 2).

    ``scale`` is ``multiplier * 2**-shift`` and ``offset`` ``bias * scale + 1/2``: all terms are
    multiples of ``2**-shift`` below ``2**47`` of them.
    """
    codes = acc.double() if acc.dtype != torch.float64 else acc
    return codes.mul_(scale).add_(offset).floor_().clamp_(*limits)


def _halved(x: Tensor | int, shift: Tensor) -> Tensor:
    """``x * 2**-shift`` of whole numbers, exact in float64 (``torch.ldexp`` uses a float32)."""
    return x / (torch.ones_like(shift) << shift).double()


def _exact_type(largest: int) -> torch.dtype:
    """Type in which sums are exact whose terms' magnitudes add up to less than ``largest``."""
    return torch.float32 if largest < EXACT_FLOAT32 else torch.float64


def _scales(part: Linear | Pool, device: torch.device) -> tuple[Tensor, Tensor]:
    """Scale and offset of :func:`_requantize` per row."""
    scale = _halved(_tensor(part.multiplier, device), _tensor(part.shift, device))
    return scale, _tensor(part.bias, device) * scale + 0.5


def _bit_length(x: Tensor) -> Tensor:
    """``int.bit_length`` of positive integers below 2**53, which float64 holds exactly."""
    return torch.frexp(x.double()).exponent.long()


def _tensor(values: np.ndarray, device: torch.device) -> Tensor:
    """Copy to int64: torch cannot share read-only arrays, nor compute with uint32."""
    return torch.from_numpy(values.astype(np.int64)).to(device)


def _per_head(scales: HeadScales, device: torch.device) -> tuple[Tensor, Tensor]:
    """Multipliers and shifts as (heads, 1, 1)."""
    multiplier, shift = (
        torch.tensor(values, device=device).view(-1, 1, 1)
        for values in (scales.multiplier, scales.shift)
    )
    return multiplier, shift
