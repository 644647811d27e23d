"""Attention between the matrix products: softmax weights, and the weighted mean of the values."""

from functools import cache
from math import log, sqrt

import torch
from torch import Tensor

from nas.numerics.codes import INT8, look_up
from nas.numerics.dyadic import dyadic, dyadic_value
from nas.numerics.fused import fusible
from nas.numerics.products import exact_matmul
from rtl.model import numerics

CONTEXT_BITS = 16  # of the constant C
CONTEXT_SHIFTS = (0, 28)  # lowest and highest that the format allows
LARGEST_WEIGHT = 255  # of a softmax weight, in any width


def softmax_factor(log_q: Tensor, log_k: Tensor, head_dim: int) -> Tensor:
    """Return the factor from raw scores to 1/256 octaves: scalar, of ``MULTIPLIER_BITS`` bits."""
    octave = log(numerics.EXP2_ENTRIES / log(2) / sqrt(head_dim))
    return dyadic_value(torch.exp(log_q + log_k + octave))


def context_factor(log_v: Tensor, log_out: Tensor) -> Tensor:
    """Return the factor from values to context codes: scalar, of ``CONTEXT_BITS`` bits."""
    return dyadic_value(torch.exp(log_v - log_out), CONTEXT_BITS)


@cache
def decay_table(act_bits: int, device: torch.device) -> Tensor:
    """``EXP2_TABLE[u & 255] >> (u >> 8)`` over 256 for every distance u: (4096,) float32."""
    table = numerics.exp2_table(act_bits)
    values = [table[u & 0xFF] >> (u >> 8) for u in range(numerics.EXP2_MAX + 1)]
    return torch.tensor(values, dtype=torch.float32, device=device) / 256


@cache
def _dither(keys: int, device: torch.device) -> Tensor:
    """Dither of every key, over 256: (keys,) float32."""
    return (numerics.DITHER_STEP * torch.arange(keys, device=device) & 0xFF) / 256


class _Scores(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, k, largest_q):
        ctx.save_for_backward(q, k)
        return exact_matmul(q, k.transpose(-1, -2), (largest_q, -INT8[0])).float()

    @staticmethod
    def backward(ctx, gradient):
        q, k = ctx.saved_tensors
        return gradient @ k, gradient.transpose(-1, -2) @ q, None


def scores(q: Tensor, k: Tensor, act_bits: int) -> Tensor:
    """Sums of products of queries and keys.

    Parameters
    ----------
    q : Tensor
        (..., queries, head_dim) signed activation codes.
    k : Tensor
        (..., keys, head_dim) int8 codes.
    act_bits : int

    Returns
    -------
    Tensor
        (..., queries, keys).
    """
    return _Scores.apply(q, k, 1 << (act_bits - 1))


def distances(scores: Tensor, factor: Tensor) -> Tensor:
    """Return the distances from each row's largest score in 1/256 octaves, u: int32.

    scores: (..., keys), float32. ``factor``: of :func:`softmax_factor`.
    """
    return _distances(scores, scores.amax(-1, keepdim=True), factor)


@fusible
def _distances(scores: Tensor, largest: Tensor, factor: Tensor) -> Tensor:
    """Distances of scores to the largest ones, in 1/256 octaves: int32."""
    return (largest - scores).mul_(factor).clamp_(max=numerics.EXP2_MAX).int()


@fusible
def _dithered(smooth: Tensor, dither: Tensor) -> Tensor:
    return smooth.add_(dither).floor_()


@fusible
def _context_codes(
    product: Tensor, factor: Tensor, low: float, high: float
) -> tuple[Tensor, Tensor]:
    """Scale, round and limit (..., queries, head_dim); return codes, and them before the floor."""
    shifted = product.float().mul_(factor).add_(0.5)
    return torch.floor(shifted).clamp_(low, high), shifted


@fusible
def _context_gradients(
    gradient: Tensor, shifted: Tensor, factor: Tensor, low: float, high: float
) -> tuple[Tensor, Tensor]:
    """Gradients of the product, and terms of that of ln(factor): (..., queries, head_dim)."""
    g = torch.ops.aten.hardtanh_backward(gradient, shifted, low, high + 1)
    return g * factor, g * (shifted - 0.5)


class _AttentionWeights(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scores, log_q, log_k, head_dim, act_bits):
        factor = softmax_factor(log_q, log_k, head_dim)
        u = distances(scores, factor)
        smooth = look_up(decay_table(act_bits, scores.device), u)
        ctx.save_for_backward(u.short(), factor)
        ctx.act_bits = act_bits
        return _dithered(smooth, _dither(scores.shape[-1], scores.device))

    @staticmethod
    def backward(ctx, gradient):
        u, factor = ctx.saved_tensors
        # e = 2**(-u / 256) x a constant: d e / d u = -e ln 2 / 256. The maximum counts as a
        # constant: it scales all weights of a query alike, and the context divides that out.
        slope = decay_table(ctx.act_bits, u.device) * (log(2) / 256) * factor  # over -u / factor
        g = look_up(slope, u).mul_(gradient)
        g_factor = -torch.dot(g.flatten(), u.float().flatten()) / factor
        return g, g_factor, g_factor, None, None


def attention_weights(
    scores: Tensor, *, log_q: Tensor, log_k: Tensor, head_dim: int, act_bits: int
) -> Tensor:
    """Softmax weights relative to the row's maximum (numerics section 5).

    Parameters
    ----------
    scores : Tensor
        (..., queries, keys) sums of products of q and k codes.
    log_q, log_k : Tensor
        Logarithms of the scales of q and k, scalars.
    head_dim, act_bits : int

    Returns
    -------
    Tensor
        (..., queries, keys) unsigned activation codes.
    """
    return _AttentionWeights.apply(scores, log_q, log_k, head_dim, act_bits)


class _Context(torch.autograd.Function):
    @staticmethod
    def forward(ctx, e, v, log_v, log_out, low, high):
        total = e.sum(-1, keepdim=True).double()
        constant, shift = dyadic(context_factor(log_v, log_out), CONTEXT_BITS, CONTEXT_SHIFTS)
        _, bits = torch.frexp(total)
        reciprocal = torch.floor(torch.ldexp(torch.ones_like(total), 15 + bits) / total)
        multiplier = torch.floor(reciprocal * constant / (1 << 15))
        factor = torch.ldexp(multiplier, -(bits + shift)).float()
        product = exact_matmul(e, v, (LARGEST_WEIGHT, -INT8[0]))
        y, shifted = _context_codes(product, factor, low, high)
        ctx.save_for_backward(e.byte(), v, shifted, factor)
        ctx.limits = low, high
        return y

    @staticmethod
    def backward(ctx, gradient):
        e, v, shifted, factor = ctx.saved_tensors
        low, high = ctx.limits
        e = e.float()
        g, along = _context_gradients(gradient, shifted, factor, low, high)
        along = along.sum(-1, keepdim=True)  # d y / d ln(factor)
        g_e = (g @ v.transpose(-1, -2)).sub_(along / e.sum(-1, keepdim=True))
        g_log = along.sum()
        return g_e, e.transpose(-1, -2) @ g, g_log, -g_log, None, None


def context(
    e: Tensor, v: Tensor, *, log_v: Tensor, log_out: Tensor, limits: tuple[float, float]
) -> Tensor:
    """Weighted mean of the values (numerics section 5).

    Parameters
    ----------
    e : Tensor
        (..., queries, keys) of :func:`attention_weights`.
    v : Tensor
        (..., keys, head_dim) int8 codes.
    log_v, log_out : Tensor
        Logarithms of the scales of v and of the result, scalars.
    limits : tuple of float
        Lowest and highest code of the result.

    Returns
    -------
    Tensor
        (..., queries, head_dim) signed activation codes.
    """
    return _Context.apply(e, v, log_v, log_out, *limits)
