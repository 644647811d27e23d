"""One block after the other: codes of its tensors, then rounded weights, from calibration images.

Two residual streams pass through the network side by side: that of the float network, and that of
the quantized one as far as it exists. Each matrix is rounded against the inputs that it will really
have, and may be asked to give what the float network has there.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nas.importer.forward import gelu, layer_norm, linear
from nas.importer.network import Affine, FloatBlock
from nas.numerics.reshape import join_heads, split_heads
from nas.quantize import scales
from nas.quantize.codes import BlockCodes, Code, rounded_attention
from nas.quantize.fold import centre_values
from nas.quantize.moments import MomentSums
from nas.quantize.rounding import Rows, compensated, descended, nearest


@dataclass(frozen=True)
class Method:
    """How codes and weights are chosen.

    Parameters
    ----------
    act_bits : int
        4, 6 or 8.
    rounding : str
        ``nearest``, ``compensated`` or ``descended``.
    least_squares : bool
        Aim 4-bit rows at what the float network has, instead of at their own weights' results.
    ridge : float
        Pull of that aim towards the weights; more where there are fewer images.
    damping : float
        Of the inputs' moments.
    class_share : float
        Weight of class tokens among all tokens.
    centre : bool
        Subtract the mean of keys and values.
    correct_bias : bool
        Set biases so that the mean of each layer's result is the float network's.
    tables : int
        GELU tables per block, 1 or 2.
    second_share : float
        Part of the hidden units that has the second table.
    sweeps : int
        Of coordinate descent.
    samples : int
        Images whose tensors are looked at to choose scales.
    """

    act_bits: int = 6
    rounding: str = "descended"
    least_squares: bool = True
    ridge: float = 0.1
    damping: float = 0.01
    class_share: float = 0.1
    centre: bool = True
    correct_bias: bool = True
    tables: int = 2
    second_share: float = 0.125
    sweeps: int = 2
    samples: int = 16


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
    bits : dict of str to (rows,) int64
        Weight bits of each layer's rows.
    units : tuple of int
        Hidden units of each GELU table.
    method : Method
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
    ) -> None:
        self.float_block = block  # as it was
        self.block = block  # rounded as far as this has come
        self.head_dim = head_dim
        self.exact, self.stream = exact, stream
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

    # ------------------------------------------------------------ attention

    def _attention(self) -> None:
        method, bits = self.method, self.method.act_bits
        self.codes["norm1"] = self._symmetric(self._sample(self._norm1), ("q", "k", "v"))
        self._round(("q", "k", "v"), self._norm1_codes, self._norm1_exact)
        for name, width in (("q", bits), ("k", 8), ("v", 8)):
            layer = getattr(self.block, name)
            sample = self._sample(lambda r, layer=layer: linear(layer, self._norm1_codes(r)))
            if method.centre and name == "k":
                sample = self._centre_keys(sample)
            elif method.centre and name == "v":
                sample = self._centre_values(sample)
            self.codes[name] = scales.per_group(sample, self.head_dim, width)
        self.codes["context"] = self._symmetric(self._sample(self._context), ("proj",))
        context = lambda r: self.codes["context"](self._context(r))  # noqa: E731
        self._round(("proj",), context, self._context_exact, add=True)
        self.stream = [
            self.residual(r + linear(self.block.proj, context(r))) for r in self.stream
        ]
        self.exact = [
            r + linear(self.float_block.proj, self._context_exact(r)) for r in self.exact
        ]

    def _centre_keys(self, sample: Tensor) -> Tensor:
        mean = sample.mean(0)
        self.block = replace(self.block, k=Affine(self.block.k.weight, self.block.k.bias - mean))
        return sample - mean

    def _centre_values(self, sample: Tensor) -> Tensor:
        """Also in the float block, whose projection is what the rounded one aims at."""
        mean = sample.mean(0)
        self.block = centre_values(self.block, mean)
        self.float_block = centre_values(self.float_block, mean)
        return sample - mean

    def _norm1(self, residual: Tensor) -> Tensor:
        return layer_norm(self.block.norm1, residual)

    def _norm1_codes(self, residual: Tensor) -> Tensor:
        return self.codes["norm1"](self._norm1(residual))

    def _norm1_exact(self, residual: Tensor) -> Tensor:
        return layer_norm(self.float_block.norm1, residual)

    def _context(self, residual: Tensor) -> Tensor:
        normal = self._norm1_codes(residual)
        q, k, v = (
            self.codes[name](linear(getattr(self.block, name), normal)) for name in ("q", "k", "v")
        )
        weights = rounded_attention(self._weights(q, k), self.method.act_bits)
        return join_heads(weights @ split_heads(v, self.head_dim))

    def _context_exact(self, residual: Tensor) -> Tensor:
        normal = self._norm1_exact(residual)
        q, k, v = (linear(getattr(self.float_block, name), normal) for name in ("q", "k", "v"))
        return join_heads(self._weights(q, k) @ split_heads(v, self.head_dim))

    def _weights(self, q: Tensor, k: Tensor) -> Tensor:
        q, k = split_heads(q, self.head_dim), split_heads(k, self.head_dim)
        return (q @ k.transpose(-1, -2) / self.head_dim**0.5).softmax(-1)

    # ------------------------------------------------------------ MLP

    def _mlp(self) -> None:
        bits = self.method.act_bits
        self.codes["norm2"] = self._symmetric(self._sample(self._norm2), ("fc1",))
        self._round(("fc1",), self._norm2_codes, self._norm2_exact)
        sample = self._sample(lambda r: linear(self.block.fc1, self._norm2_codes(r)))
        self.codes["fc1"] = scales.gelu_input(sample, self.units)
        hidden = gelu(self.block.activation, self.codes["fc1"](sample))
        self.codes["hidden"] = scales.gelu_output(hidden, self.units, bits)
        self._round(("fc2",), self._hidden, self._hidden_exact, add=True)
        self.stream = [
            self.residual(r + linear(self.block.fc2, self._hidden(r))) for r in self.stream
        ]
        self.exact = [r + linear(self.float_block.fc2, self._hidden_exact(r)) for r in self.exact]

    def _norm2(self, residual: Tensor) -> Tensor:
        return layer_norm(self.block.norm2, residual)

    def _norm2_codes(self, residual: Tensor) -> Tensor:
        return self.codes["norm2"](self._norm2(residual))

    def _norm2_exact(self, residual: Tensor) -> Tensor:
        return layer_norm(self.float_block.norm2, residual)

    def _hidden(self, residual: Tensor) -> Tensor:
        before = self.codes["fc1"](linear(self.block.fc1, self._norm2_codes(residual)))
        return self.codes["hidden"](gelu(self.block.activation, before))

    def _hidden_exact(self, residual: Tensor) -> Tensor:
        before = linear(self.float_block.fc1, self._norm2_exact(residual))
        return gelu(self.block.activation, before)

    # ------------------------------------------------------------ both

    def _sample(self, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """What ``compute`` makes of the first images of the quantized stream, (tokens, channels)."""
        found, left = [], self.method.samples
        for chunk in self.stream:
            found.append(compute(chunk[:left]).flatten(0, 1))
            if (left := left - len(chunk)) <= 0:
                break
        return torch.cat(found)

    def _symmetric(self, sample: Tensor, layers: tuple[str, ...]) -> Code:
        """Choose one scale by the error that reaches the results of these layers."""
        weights = torch.cat([getattr(self.block, name).weight for name in layers])
        tokens = self.stream[0].shape[1]
        share = scales.token_shares(len(sample) // tokens, tokens, self.method.class_share)
        importance = weights.square().sum(0)
        return scales.best_symmetric(sample, self.method.act_bits, share.to(sample), importance)

    def _round(
        self,
        names: tuple[str, ...],
        inputs: Callable[[Tensor], Tensor],
        exact_inputs: Callable[[Tensor], Tensor],
        *,
        add: bool = False,
    ) -> None:
        """Round layers that share their input.

        Parameters
        ----------
        names : tuple of str
        inputs, exact_inputs : callable
            From a chunk of the quantized stream, and of the float one, to the layers' inputs.
        add : bool
            Whether the result is added to the residual stream, whose error it can then make up for.
        """
        layers = [getattr(self.float_block, name) for name in names]
        together = Affine(
            torch.cat([layer.weight for layer in layers]),
            torch.cat([layer.bias for layer in layers]),
        )
        sums = MomentSums(self.method.class_share)
        for exact, stream in zip(self.exact, self.stream, strict=True):
            aim = linear(together, exact_inputs(exact))
            sums.add(inputs(stream), aim + (exact - stream) if add else aim)
        moments = sums.moments()
        bits = torch.cat([self.bits[name] for name in names])
        scale = self._input_scale(names[0])
        rows, bias = round_layer(together, bits, moments, scale, self.method)
        self._keep(names, rows, bias, scale)

    def _keep(
        self, names: tuple[str, ...], rows: Rows, bias: Tensor, scale: Tensor
    ) -> None:
        first = 0
        for name in names:
            part = slice(first, first + len(self.bits[name]))
            first = part.stop
            kept = Rows(rows.codes[part], rows.bits[part], rows.step[part])
            self.rows[name] = kept
            layer = Affine(kept.weight / scale, bias[part])
            self.block = replace(self.block, **{name: layer})

    def _input_scale(self, name: str) -> Tensor:
        source = {"proj": "context", "fc1": "norm2", "fc2": "hidden"}.get(name, "norm1")
        return self.codes[source].scale


def round_layer(layer, bits, moments, scale, method):
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
        wanted = moments.best_weight(weight.double(), method.ridge).to(weight)
        aim = torch.where((bits == 4)[:, None], wanted, weight)
    inputs = (moments.inputs / torch.outer(scale, scale).double()).to(weight)
    codes_of = aim * scale
    if method.rounding == "nearest":
        rows = nearest(codes_of, bits, inputs.diagonal())
    else:
        rows = compensated(codes_of, bits, inputs, method.damping)
        if method.rounding == "descended":
            rows = descended(codes_of, inputs, rows, sweeps=method.sweeps, damping=method.damping)
    if not method.correct_bias:
        return rows, layer.bias
    bias = moments.bias((rows.weight / scale).double()).to(weight)
    return rows, bias
