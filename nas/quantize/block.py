"""One block after the other: codes of its tensors, then rounded weights, from calibration images.

Two residual streams pass through the network side by side: that of the float network, and that of
the quantized one as far as it exists. Each matrix is rounded against the inputs that it will really
have, and may be asked to give what the float network has there. Where a block selects tokens, the
quantized network chooses, and the same ones stay in both streams.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nas.importer.forward import gelu, layer_norm, linear, project
from nas.importer.network import Affine, FloatBlock
from nas.importer.selection import gathered, most_important
from nas.numerics.reshape import join_heads, split_heads
from nas.quantize import scales
from nas.quantize.codes import BlockCodes, Code
from nas.quantize.fold import centre_keys, centre_values
from nas.quantize.method import Method
from nas.quantize.moments import Moments, MomentSums
from nas.quantize.rounding import Rows, compensated, descended, nearest
from nas.quantize.scales import DEFAULT_QUANTIZERS, NormChoice, Quantizers

INPUT_OF = {
    "q": "norm1",
    "k": "norm1",
    "v": "norm1",
    "proj": "context",
    "fc1": "norm2",
    "fc2": "hidden",
}
"""The tensor that a layer multiplies."""

Compute = Callable[[Tensor], Tensor]
"""From a chunk of the residual stream to something of every token."""


@dataclass(frozen=True, eq=False)
class QuantizedBlock:
    """A block with its codes and its rows.

    Parameters
    ----------
    block : FloatBlock
        With the weights that the rows stand for.
    codes : BlockCodes
    rows : dict of str to Rows
        By the layer's name.
    """

    block: FloatBlock
    codes: BlockCodes
    rows: dict[str, Rows]


class BlockQuantizer:
    """Quantizes a block.

    Parameters
    ----------
    block : FloatBlock
        Folded; its first ``first_units`` hidden units are those of the first GELU table.
    head_dim : int
    exact, stream : list of Tensor
        Chunks (images, tokens, width) of the residual stream in front of the block: the float
        network's, and the quantized one's.
    residual : Code
        Of the stream that the block writes.
    bits : dict of str to (rows,) int64
        Weight bits of each layer's rows.
    units : tuple of int
        Hidden units of each GELU table.
    method : Method
    quantizers : Quantizers
    others : int
        Tokens behind the patches.
    """

    def __init__(
        self,
        block: FloatBlock,
        head_dim: int,
        exact: list[Tensor],
        stream: list[Tensor],
        residual: Code,
        bits: dict[str, Tensor],
        units: tuple[int, ...],
        method: Method,
        quantizers: Quantizers = DEFAULT_QUANTIZERS,
        others: int = 1,
    ) -> None:
        self.quantizers, self.others = quantizers, others
        self.float_block = block  # as it was
        self.block = block  # rounded as far as this has come
        self.head_dim = head_dim
        self.exact, self.stream = list(exact), list(stream)
        self.residual, self.bits, self.units, self.method = residual, bits, units, method
        self.codes: dict[str, Code] = {}
        self.rows: dict[str, Rows] = {}

    def quantize(self) -> QuantizedBlock:
        """Choose all codes and round all rows; both streams go on to behind the block."""
        self._attention()
        self._mlp()
        first = self.units[0] if len(self.units) == 2 else None
        codes = BlockCodes(**self.codes, first_table_units=first)
        return QuantizedBlock(self.block, codes, self.rows)

    def replay(self, done: QuantizedBlock) -> None:
        """Let both streams pass a block that was quantized before, with equal results."""
        self.block, self.codes = done.block, done.codes.tensors()
        for name, (inputs, exact_inputs) in self._residual_layers().items():
            layer, rounded = getattr(self.float_block, name), getattr(self.block, name)
            for i, (exact, stream) in enumerate(self._chunks()):
                staying = self._staying(name, stream)
                self.exact[i] = staying(
                    self._base(name, exact) + linear(layer, exact_inputs(exact))
                )
                added = self._base(name, stream) + linear(rounded, inputs(stream))
                self.stream[i] = self.residual(staying(added))

    def _residual_layers(self) -> dict[str, tuple[Compute, Compute]]:
        """Layers that write the residual stream, each with how its two inputs are computed."""
        return {
            "proj": (self._context, self._exact_context),
            "fc2": (self._hidden, self._exact_hidden),
        }

    # ------------------------------------------------------------ attention

    def _attention(self) -> None:
        layers = ("k", "v") if self.block.pools else ("q", "k", "v")
        self.codes["norm1"] = self._norm_code(self._sample(self._norm1)[0], layers)
        pairs = ((self._norm1(r), layer_norm(self.block.norm1, e)) for e, r in self._chunks())
        self._round(layers, pairs)
        q, k, v = self._sample(lambda r: project(self.block, self._norm1(r)))
        if self.method.centre:
            k, v = self._centre_keys(k), self._centre_values(v)
        for name, sample, bits in (("q", q, self.method.act_bits), ("k", k, 8), ("v", v, 8)):
            self.codes[name] = scales.per_group(sample, self.head_dim, bits)
        if self.block.pools:  # a query code is a bias
            constant = self.block.q.weight
            self.rows["q"] = Rows(constant, self.bits["q"], self.codes["q"].scale.clone())
        group = self.head_dim if self.method.context_per_head else None
        sample = self._sample(lambda r: self._staying("proj", r)(self._context(r)))[0]
        self.codes["context"] = self._chosen(scales.best_symmetric, sample, ("proj",), group)
        self._add("proj")

    def _centre_keys(self, sample: Tensor) -> Tensor:
        mean = sample.mean(0)
        self.block = centre_keys(self.block, mean)
        return sample - mean

    def _centre_values(self, sample: Tensor) -> Tensor:
        mean = sample.mean(0)
        self.block = centre_values(self.block, mean)
        return sample - mean

    def _norm1(self, residual: Tensor) -> Tensor:
        return self._coded("norm1", layer_norm(self.block.norm1, residual))

    def _context(self, residual: Tensor) -> Tensor:
        projected = project(self.block, self._norm1(residual))
        q, k, v = (self.codes[name](x) for name, x in zip("qkv", projected, strict=True))
        weights = self.quantizers.attention(self._weights(q, k), self.method.act_bits)
        return self._coded("context", join_heads(weights @ split_heads(v, self.head_dim)))

    def _exact_context(self, residual: Tensor) -> Tensor:
        normal = layer_norm(self.float_block.norm1, residual)
        q, k, v = project(self.float_block, normal)
        return join_heads(self._weights(q, k) @ split_heads(v, self.head_dim))

    def _staying(self, name: str, stream: Tensor) -> Compute:
        """Return what takes the tokens that stay, (images, tokens, ...), behind a layer.

        Importance is of weights that are not rounded, as the engine's are.
        """
        if self.block.keep is None or name != "proj":
            return lambda tensor: tensor
        normal = self._norm1(stream)
        q = self.codes["q"](linear(self.block.q, normal[:, -1:]))
        k = self.codes["k"](linear(self.block.k, normal))
        importance = self._weights(q, k)[:, :, 0, : -self.others].sum(1)
        kept = most_important(importance, self.block.keep, self.others)
        return lambda tensor: gathered(tensor, kept)

    def _weights(self, q: Tensor, k: Tensor) -> Tensor:
        q, k = split_heads(q, self.head_dim), split_heads(k, self.head_dim)
        return (q @ k.transpose(-1, -2) / self.head_dim**0.5).softmax(-1)

    # ------------------------------------------------------------ MLP

    def _mlp(self) -> None:
        self.codes["norm2"] = self._norm_code(self._sample(self._norm2)[0], ("fc1",))
        pairs = ((self._norm2(r), layer_norm(self.block.norm2, e)) for e, r in self._chunks())
        self._round(("fc1",), pairs)
        (sample,) = self._sample(lambda r: linear(self.block.fc1, self._norm2(r)))
        self.codes["fc1"] = scales.gelu_input(sample, self.units)
        hidden = gelu(self.block.activation, self.codes["fc1"](sample))
        self.codes["hidden"] = self.quantizers.hidden(hidden, self.units, self.method.act_bits)
        self._add("fc2")

    def _norm2(self, residual: Tensor) -> Tensor:
        return self._coded("norm2", layer_norm(self.block.norm2, residual))

    def _hidden(self, residual: Tensor) -> Tensor:
        before = self.codes["fc1"](linear(self.block.fc1, self._norm2(residual)))
        return self._coded("hidden", gelu(self.block.activation, before))

    def _exact_hidden(self, residual: Tensor) -> Tensor:
        normal = layer_norm(self.float_block.norm2, residual)
        return gelu(self.block.activation, linear(self.float_block.fc1, normal))

    # ------------------------------------------------------------ both

    def _coded(self, name: str, x: Tensor) -> Tensor:
        """Quantize, where the code is known already."""
        return self.codes[name](x) if name in self.codes else x

    def _chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Chunks of the float network's stream and of the quantized one."""
        return zip(self.exact, self.stream, strict=True)

    def _base(self, name: str, stream: Tensor) -> Tensor:
        """Stream that a layer's result is added to."""
        begins = self.block.pools and name == "proj"
        return torch.zeros_like(stream[:, -1:]) if begins else stream

    def _add(self, name: str) -> None:
        """Round a layer that writes the residual stream, and let both streams pass it."""
        inputs, exact_inputs = self._residual_layers()[name]
        code, layer = self.codes[INPUT_OF[name]], getattr(self.float_block, name)
        sums = self._sums()
        found = []  # codes are small; to compute them again is not
        for i, (exact, stream) in enumerate(self._chunks()):
            staying = self._staying(name, stream)
            x = staying(inputs(stream))
            found.append(code.codes(x).to(torch.uint8 if code.low == 0 else torch.int8))
            self.exact[i] = staying(self._base(name, exact) + linear(layer, exact_inputs(exact)))
            self.stream[i] = staying(self._base(name, stream))
            sums.add(x, self.exact[i] - self.stream[i])
        self._finish((name,), getattr(self.block, name), sums.moments())
        rounded = getattr(self.block, name)
        for i, codes in enumerate(found):
            x = code.values(codes.to(code.scale))
            self.stream[i] = self.residual(self.stream[i] + linear(rounded, x))

    def _round(self, names: tuple[str, ...], pairs: Iterator[tuple[Tensor, Tensor]]) -> None:
        """Round layers that share their input; ``pairs`` are chunks of it, quantized and exact."""
        layers = [getattr(self.block, name) for name in names]
        together = Affine(
            torch.cat([layer.weight for layer in layers]),
            torch.cat([layer.bias for layer in layers]),
        )
        sums = self._sums()
        for quantized, exact in pairs:
            sums.add(quantized, linear(together, exact))
        self._finish(names, together, sums.moments())

    def _sums(self) -> MomentSums:
        return MomentSums(self.method.class_share, cross=self.method.least_squares)

    def _finish(self, names: tuple[str, ...], layer: Affine, moments: Moments) -> None:
        """Round ``layer``, which is those of ``names`` one behind the other."""
        scale = self.codes[INPUT_OF[names[0]]].scale
        bits = torch.cat([self.bits[name] for name in names])
        rows, bias = round_layer(layer, bits, moments, scale, self.method)
        first = 0
        for name in names:
            part = slice(first, first + len(self.bits[name]))
            first = part.stop
            self.rows[name] = rows.part(part)
            rounded = real_layer(self.rows[name], self.codes[INPUT_OF[name]], bias[part])
            self.block = replace(self.block, **{name: rounded})

    def _sample(
        self, compute: Callable[[Tensor], Tensor | tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...]:
        """Compute something of the stream's first images, each (tokens, channels)."""
        found: list[tuple[Tensor, ...]] = []
        left = self.method.samples
        for chunk in self.stream:
            made = compute(chunk[:left])
            made = made if isinstance(made, tuple) else (made,)
            found.append(tuple(part.flatten(0, 1) for part in made))
            if (left := left - len(chunk)) <= 0:
                break
        return tuple(map(torch.cat, zip(*found, strict=True)))

    def _norm_code(self, sample: Tensor, layers: tuple[str, ...]) -> Code:
        return self._chosen(self.quantizers.norm, sample, layers)

    def _chosen(
        self, choose: NormChoice, sample: Tensor, layers: tuple[str, ...], group: int | None = None
    ) -> Code:
        """Choose a code by the error that reaches the results of these layers."""
        weights = torch.cat([getattr(self.block, name).weight for name in layers])
        images = min(self.method.samples, sum(map(len, self.stream)))
        share = scales.token_shares(images, len(sample) // images, self.method.class_share)
        importance = weights.square().sum(0)
        group = group or sample.shape[1]
        codes = [
            choose(part, self.method.act_bits, share.to(sample), weight)
            for part, weight in zip(sample.split(group, 1), importance.split(group), strict=True)
        ]
        return replace(
            codes[0],
            scale=torch.cat([code.scale for code in codes]),
            zero=torch.cat([code.zero for code in codes]),
        )


def real_layer(rows: Rows, source: Code, bias: Tensor) -> Affine:
    """Return the layer that rows stand for; ``source`` is the code of its inputs, if it has any."""
    return Affine(rows.weight / source.scale[: rows.codes.shape[1]], bias)


def round_layer(
    layer: Affine, bits: Tensor, moments: Moments, scale: Tensor, method: Method
) -> tuple[Rows, Tensor]:
    """Round a layer.

    Parameters
    ----------
    layer : Affine
        Real weights and bias.
    bits : (rows,) int64
    moments : Moments
        Of its inputs, and of what it should give.
    scale : (depth,)
        Of its input codes.
    method : Method

    Returns
    -------
    rows : Rows
    bias : (rows,)
        In real values.
    """
    weight = layer.weight
    aim = weight
    if method.least_squares and method.rounding != "nearest":
        wanted = moments.best_weight(weight, method.ridge)
        aim = torch.where((bits == 4)[:, None], wanted, weight)
    inputs = (moments.regular / torch.outer(scale, scale).double()).to(weight)
    codes_of = aim * scale
    if method.rounding == "nearest":
        rows = nearest(codes_of, bits, inputs.diagonal())
    else:
        rows = compensated(codes_of, bits, inputs, method.damping)
        if method.rounding == "descended":
            rows = descended(codes_of, inputs, rows, sweeps=method.sweeps, damping=method.damping)
    if not method.correct_bias:
        return rows, layer.bias
    return rows, moments.bias((rows.weight / scale).double()).to(weight)
