"""Layers with random weights whose codes use their ranges as a trained network's do.

Scales are chosen layer by layer from what a few random images give at that place: nothing is
saturated or dead, softmax is neither flat nor one-hot, some residual channels stand out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil, erf, exp, log2, sqrt
from typing import Any

import numpy as np

from rtl.model import Block, Classifier, Features, Front, HeadScales, Linear, Norm, Pool
from rtl.model.dyadic import dyadic
from rtl.model.numerics import code_range
from sim.golden import ops

STANDOUT_FRACTION = 0.02  # residual channels that carry more
STANDOUT_FACTORS = (2.0, 3.0, 5.0)
PREACTIVATION_SCALE = 5 / 127  # real value of one code of the GELU table's input
PREACTIVATION_RMS = 36.0
GELU_MIN, GELU_MAX = -0.17, 3.2  # the hidden code covers this
KV_RMS = 40.0
LOGIT_RMS = 3000.0

Bits8 = float | Mapping[str, float]


class LayerMaker:
    """Makes layers in the order of the network, from the codes that reach each of them.

    Parameters
    ----------
    rng : numpy.random.Generator
    width, head_dim, act_bits, row_granularity : int
    bits8_fraction : float or mapping of str to float
    others : int
        Tokens behind the patches.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        width: int,
        head_dim: int,
        act_bits: int,
        row_granularity: int,
        bits8_fraction: Bits8,
        others: int = 1,
    ):
        self.rng = rng
        self.width = width
        self.head_dim = head_dim
        self.act_bits = act_bits
        self.row_granularity = row_granularity
        self.bits8_fraction = bits8_fraction
        self.others = others
        self.signed = code_range(act_bits, signed=True)
        self.code_rms = (1 << (act_bits - 1)) / 3
        self.standout = np.ones(width)
        chosen = rng.permutation(width)[: ceil(width * STANDOUT_FRACTION)]
        self.standout[chosen] = rng.choice(STANDOUT_FACTORS, len(chosen))

    def embedding(
        self, images: np.ndarray, patch: int, tokens: int, rms: float
    ) -> tuple[Linear, np.ndarray, np.ndarray]:
        """Patch embedding, position and the residual stream ``(batch, tokens, width)``."""
        pixels = ops.patches(images, patch)
        patches = slice(pixels.shape[1])
        position = self.rng.standard_normal((tokens, self.width)) * self.standout * rms * 0.7
        position = np.clip(np.rint(position), *ops.INT16).astype(np.int16)
        layer = self.residual_layer("embed", pixels, 0, rms)
        residual = np.repeat(position[None].astype(np.int64), len(images), axis=0)
        residual[:, patches] = _add(residual[:, patches], pixels, layer)
        return layer, position, residual

    def front(self, residual: np.ndarray, rms: float) -> tuple[Front, np.ndarray]:
        """Make a LayerNorm and a matrix, and return them with the stream that they give."""
        norm, x = self.norm(residual)
        layer = self.layer("front", x, self.width, norm.zero, self.standout * rms)
        return Front(norm, layer), _linear(x, layer, ops.INT16)

    def block(
        self,
        residual: np.ndarray,
        heads: int,
        hidden: int,
        increment: float,
        two_tables: bool = False,
        pools: bool = False,
        keep: int | None = None,
    ) -> tuple[Block, np.ndarray]:
        """Make a block and return it with its output; all tokens, in the last block too.

        Of a block that pools, with a constant query, one token comes out; of one that keeps some
        patches, these and the tokens behind them.
        """
        inner = heads * self.head_dim
        norm1, x = self.norm(residual)
        if pools:
            q, queries = self.query(inner), x[:, -1:, :0]
            residual = np.zeros_like(residual[:, -1:])
        else:
            q, queries = self.layer("q", x, inner, norm1.zero, self.code_rms), x
        # Keys have no learned bias: softmax would cancel it.
        k = self.layer("k", x, inner, norm1.zero, KV_RMS, learned_bias=False)
        v = self.layer("v", x, inner, norm1.zero, KV_RMS)
        softmax, context, attended, importance = self.attention(queries, x, q, k, v, heads)
        proj = self.residual_layer("proj", attended, 0, increment)
        residual = _add(residual, attended, proj)
        if keep is not None:
            residual = self.kept(residual, importance, keep)

        norm2, x = self.norm(residual)
        fc1 = self.layer("fc1", x, hidden, norm2.zero, PREACTIVATION_RMS)
        signed = bool(self.rng.integers(2))
        tables = self.gelu_tables(hidden, signed, two_tables)
        codes = _linear(x, fc1, ops.INT8)
        codes = np.concatenate([ops.gelu(codes[..., u], t) for u, t, _ in tables], axis=-1)
        zeros = [zero for _, _, zero in tables]
        zero = np.concatenate([np.full(units.stop - units.start, z) for units, _, z in tables])
        fc2 = self.residual_layer("fc2", codes, zero, increment)
        residual = _add(residual, codes, fc2)
        block = Block(
            heads=heads,
            hidden=hidden,
            norm1=norm1,
            q=q,
            k=k,
            v=v,
            softmax=softmax,
            context=context,
            proj=proj,
            norm2=norm2,
            fc1=fc1,
            gelu=np.squeeze([table for _, table, _ in tables]),
            hidden_signed=signed,
            hidden_zero=zeros[0],
            fc2=fc2,
            keep=keep,
            **({"first_units": tables[0][0].stop, "second_zero": zeros[1]} if zeros[1:] else {}),
        )
        return block, residual

    def gelu_tables(
        self, hidden: int, signed: bool, two: bool
    ) -> list[tuple[slice, np.ndarray, int]]:
        """Hidden units, their GELU table, its zero point; a second table has a finer scale."""
        tiles = ceil(hidden / self.row_granularity)
        if not two or tiles == 1:
            return [(slice(0, hidden), *_gelu_table(self.act_bits, signed))]
        first = self.row_granularity * int(self.rng.integers(1, tiles))
        return [
            (slice(0, first), *_gelu_table(self.act_bits, signed)),
            (slice(first, hidden), *_gelu_table(self.act_bits, signed, GELU_MAX / 2)),
        ]

    def features(self, pool: str) -> Features:
        """Make what a host does with tokens: a final LayerNorm with as many features as channels.

        No entry needs more than 16 bits: libraries do not agree on the last of 24.
        """
        matrix = self.rng.standard_normal((self.width, self.width)) / sqrt(self.width)
        bias = self.rng.standard_normal(self.width)
        return Features(
            matrix=(np.rint(matrix * 4096) / 4096).astype(np.float32),
            bias=(np.rint(bias * 4096) / 4096).astype(np.float32),
            epsilon=None if pool == "attention" else np.float32(1e-6),
            scale=np.float32(1 / 1024),
            pool=pool,
        )

    def classifier(self, residual: np.ndarray, patches: int, classes: int, pool: str) -> Classifier:
        """Make what follows the last block, ``(batch, tokens, width)``."""
        norm, normal = self.norm(residual)
        if pool == "mean":
            mean, pooled = self.pool(normal[:, :patches], norm)
            head = self.head(pooled, 0, classes)
        else:
            mean, head = None, self.head(normal[:, -1:], norm.zero, classes)
        return Classifier(classes, norm, head, output_scale=1 / 1024, pool=mean)

    def pool(self, normal: np.ndarray, norm: Norm) -> tuple[Pool, np.ndarray]:
        """Make the mean of the patches, each channel centred and scaled to use its codes.

        ``(batch, patches, width)`` to ``(batch, 1, width)``.
        """
        acc = (normal - norm.centre(self.act_bits)).sum(axis=1, keepdims=True)
        bias = -np.rint(acc.mean(axis=(0, 1))).astype(np.int32)
        spread = np.maximum(acc.std(axis=(0, 1)), 1.0)  # (width,)
        pool = Pool(bias, **_rows([dyadic(self.code_rms / channel) for channel in spread]))
        return pool, ops.requantize(acc, bias, pool.multiplier, pool.shift, *self.signed)

    def head(self, x: np.ndarray, zero: int, classes: int) -> Linear:
        """Make the head, centred: otherwise one class would win for every image.

        ``x`` is (batch, 1, width), with zero point ``zero``.
        """
        layer = self.layer("head", x, classes, zero, LOGIT_RMS)
        acc = ops.matmul(x, layer.weight)
        bias = -np.rint(acc.mean(axis=(0, 1))).astype(np.int32)
        length = np.linalg.norm(layer.weight.astype(np.float64), axis=1).clip(1)  # (classes,)
        spread = max(((acc + bias) / length).std(), 1.0)
        scales = [dyadic(LOGIT_RMS / (spread * row)) for row in length]
        return replace(layer, bias=bias, **_rows(scales))

    def norm(self, residual: np.ndarray) -> tuple[Norm, np.ndarray]:
        """Make a LayerNorm and return it with its output codes."""
        rng = self.rng
        signed = bool(rng.integers(2))
        zero = 0 if signed else (1 << (self.act_bits - 1)) + int(rng.integers(-1, 2))
        # Codes per standard deviation are gain / 2**(1 + shift).
        gain, shift = dyadic(self.code_rms * rng.uniform(0.8, 1.2), bits=16)
        centred = residual - residual.mean(axis=-1, keepdims=True)
        normal = centred / np.maximum(centred.std(axis=-1, keepdims=True), 1.0)
        rms = np.sqrt((normal**2).mean(axis=(0, 1)))
        exponent = np.clip(np.ceil(np.log2(np.maximum(rms, 1e-9) / 1.5)), 0, 3).astype(np.uint8)
        norm = Norm(
            epsilon=int(rng.integers(1, 1 + self.width**2)),
            gain=gain,
            shift=shift - 1,
            zero=zero,
            signed=signed,
            exponent=exponent,
        )
        low, high = norm.range(self.act_bits)
        scalars = {key: norm.header()[key] for key in ("epsilon", "gain", "shift", "zero")}
        return norm, ops.layer_norm(residual, exponent=exponent, low=low, high=high, **scalars)

    def query(self, inner: int) -> Linear:
        """Make a constant query: codes that are the biases of a layer without inputs."""
        low, high = self.signed
        codes = np.clip(np.rint(self.rng.standard_normal(inner) * self.code_rms), low, high)
        return Linear(
            weight=np.zeros((inner, 0), np.int8),
            bits=np.full(inner, 4, np.uint8),
            bias=codes.astype(np.int32),
            **_rows([(2, 1)] * inner),
        )

    def kept(self, residual: np.ndarray, importance: np.ndarray, keep: int) -> np.ndarray:
        """Tokens that stay, ``(batch, tokens, width)``, by their importance ``(batch, tokens)``."""
        patches = residual.shape[1] - self.others
        stay = ops.select(importance[:, :patches], keep)
        chosen = np.take_along_axis(residual, stay[..., None], axis=1)
        return np.concatenate([chosen, residual[:, patches:]], axis=1)

    def attention(
        self, queries: np.ndarray, x: np.ndarray, q: Linear, k: Linear, v: Linear, heads: int
    ) -> tuple[HeadScales, HeadScales, np.ndarray, np.ndarray]:
        """Scales of softmax and context, the context ``(batch, queries, heads * head_dim)``, and
        the importance of each token for the last query, ``(batch, tokens)``.
        """

        def by_head(x: np.ndarray, layer: Linear, code: tuple[int, int]) -> np.ndarray:
            y = _linear(x, layer, code).reshape(*x.shape[:2], heads, self.head_dim)
            return y.swapaxes(1, 2)  # (batch, heads, tokens, head_dim)

        values = by_head(x, v, ops.INT8)
        scores = ops.matmul(by_head(queries, q, self.signed), by_head(x, k, ops.INT8))
        softmax = self.softmax_scales(scores)
        weights = ops.softmax_weights(scores, *_per_head(softmax), self.act_bits)
        totals = weights.sum(axis=-1, keepdims=True)
        acc = ops.matmul(weights, values.swapaxes(-1, -2))
        context = self.context_scales(acc / totals)
        scale = ops.context_scale(totals, *_per_head(context))
        attended = ops.requantize(acc, 0, *scale, *self.signed)
        scales = (*_per_head(softmax), self.act_bits)
        terms = ops.importance_terms(scores[:, :, -1:], *scales, totals[:, :, -1:])
        joined = attended.swapaxes(1, 2).reshape(*queries.shape[:2], -1)
        return softmax, context, joined, terms.sum(axis=(1, 2))

    def softmax_scales(self, scores: np.ndarray) -> HeadScales:
        """Give each head logits with a standard deviation of 0.7 to 2.5 over the keys."""
        spread = scores.std(axis=-1).mean(axis=(0, 2))  # (heads,)
        logits = self.rng.uniform(0.7, 2.5, len(spread)) / np.maximum(spread, 1.0)
        return _head_scales([dyadic(256 * log2(exp(1)) * scale, low=0) for scale in logits])

    def context_scales(self, means: np.ndarray) -> HeadScales:
        """``means``: ``(batch, heads, tokens, head_dim)``, averaged values in their own code."""
        rms = np.sqrt((means**2).mean(axis=(0, 2, 3)))
        limit = 0.999  # of 2**16, the highest scale that the multiplier has room for
        scales = [min(self.code_rms / max(r, 1e-3), limit * 65536) for r in rms]
        return _head_scales([dyadic(scale, bits=16, low=0, high=28) for scale in scales])

    def residual_layer(
        self, name: str, x: np.ndarray, zero: int | np.ndarray, rms: float
    ) -> Linear:
        """Make a layer that writes the residual stream."""
        shift = int(self.rng.integers(0, 3))
        target = self.standout * rms / (1 << shift)
        layer = self.layer(name, x, self.width, zero, target)
        return replace(layer, residual_shift=shift)

    def layer(
        self,
        name: str,
        x: np.ndarray,
        rows: int,
        zero: int | np.ndarray,
        rms: float | np.ndarray,
        learned_bias: bool = True,
    ) -> Linear:
        """Make a layer whose output codes have about the given rms, per row.

        Parameters
        ----------
        name : str
            Key of the 8-bit fraction.
        x : (batch, tokens, depth)
            Input codes.
        rows : int
        zero : int or (depth,)
            Zero point of ``x``.
        rms : float or (rows,)
        learned_bias : bool
            Whether the bias has more in it than the zero point's correction.
        """
        bits = self.row_bits(name, rows)
        weight = self.weights(bits, x.shape[-1])
        acc = ops.matmul(x, weight)
        bias = -(weight.astype(np.int64) * zero).sum(axis=1)
        if learned_bias:
            mean, std = (acc + bias).mean(axis=(0, 1)), acc.std(axis=(0, 1))
            noise = self.rng.standard_normal(rows) * 0.3
            bias = bias + np.rint(noise * std - 0.8 * mean).astype(np.int64)
        measured = np.sqrt(((acc + bias) ** 2).mean(axis=(0, 1)))
        jitter = np.exp(self.rng.standard_normal(rows) * 0.15)
        scales = [dyadic(scale) for scale in rms * jitter / np.maximum(measured, 1.0)]
        return Linear(weight=weight, bits=bits, bias=bias.astype(np.int32), **_rows(scales))

    def row_bits(self, name: str, rows: int) -> np.ndarray:
        """Width of each row; the 8-bit tiles lie anywhere."""
        if isinstance(self.bits8_fraction, Mapping):
            fraction = self.bits8_fraction.get(name, 0.0)
        else:
            fraction = self.bits8_fraction
        tiles = ceil(rows / self.row_granularity)
        bits = np.full(tiles, 4, np.uint8)
        bits[self.rng.permutation(tiles)[: ceil(fraction * tiles)]] = 8
        return np.repeat(bits, self.row_granularity)[:rows]

    def weights(self, bits: np.ndarray, depth: int) -> np.ndarray:
        """Rows like a trained layer's: normal, the ends of the code reached now and then."""
        bits8 = (bits == 8)[:, None]
        normal = self.rng.standard_normal((len(bits), depth), dtype=np.float32)
        codes = np.rint(normal * np.where(bits8, np.float32(34), np.float32(2.6)))
        low, high = np.where(bits8, -128, -8), np.where(bits8, 127, 7)
        return np.clip(codes, low, high).astype(np.int8)


def _gelu_table(act_bits: int, signed: bool, largest: float = GELU_MAX) -> tuple[np.ndarray, int]:
    """Hidden code of each int8 pre-activation, and the code's zero point."""
    low, high = code_range(act_bits, signed)
    scale = largest / high if signed else (largest - GELU_MIN) / high
    zero = 0 if signed else ceil(-GELU_MIN / scale)
    real = [code * PREACTIVATION_SCALE for code in range(-128, 128)]
    exact = np.array([x * 0.5 * (1 + erf(x / sqrt(2))) for x in real])
    codes = zero + np.floor(exact / scale + 0.5)
    return np.clip(codes, low, high).astype(np.int16), zero


def _rows(scales: Sequence[tuple[int, int]]) -> dict[str, Any]:
    multipliers, shifts = zip(*scales, strict=True)
    return {
        "multiplier": np.array(multipliers, np.uint32),
        "shift": np.array(shifts, np.uint8),
    }


def _head_scales(scales: Sequence[tuple[int, int]]) -> HeadScales:
    multipliers, shifts = zip(*scales, strict=True)
    return HeadScales(multipliers, shifts)


def _per_head(scales: HeadScales) -> tuple[np.ndarray, np.ndarray]:
    return np.array(scales.multiplier)[:, None, None], np.array(scales.shift)[:, None, None]


def _linear(x: np.ndarray, layer: Linear, code: tuple[int, int]) -> np.ndarray:
    acc = ops.matmul(x, layer.weight)
    return ops.requantize(acc, layer.bias, layer.multiplier, layer.shift, *code)


def _add(residual: np.ndarray, x: np.ndarray, layer: Linear) -> np.ndarray:
    return ops.add_residual(residual, _linear(x, layer, ops.INT16), layer.residual_shift)
