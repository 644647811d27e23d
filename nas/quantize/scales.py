"""Scales and zero points of codes, from samples of the tensors."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nas.numerics.codes import round_half_up
from nas.quantize.codes import Code, rounded_attention
from rtl.model.numerics import code_range

RATIOS = torch.linspace(0.4, 1.0, 25).tolist()
"""Clipping limits that are tried, relative to the largest magnitude."""
GELU_LOW = -0.17
"""GELU's minimum is just above this."""
WINDOW_LOW = -3.0
"""Where the code of GELU's input begins: below, GELU is 0 within .004."""


def symmetric(top: Tensor, bits: int) -> Code:
    """Return a code whose lowest value is ``-top``, (channels,)."""
    low, high = code_range(bits, signed=True)
    return Code(top.clamp(min=1e-9) / high, torch.zeros_like(top), low, high)


def best_symmetric(x: Tensor, bits: int, share: Tensor, importance: Tensor | None = None) -> Code:
    """Return the code of least squared error that all channels share.

    Parameters
    ----------
    x : (tokens, channels)
    bits : int
    share : (tokens,)
        Weight of each token's error.
    importance : (channels,), optional
        Weight of each channel's error: how much of it the next layer lets through.
    """
    top = x.abs().amax()
    best, least = symmetric(top.expand(x.shape[1]), bits), torch.inf
    for ratio in RATIOS:
        code = symmetric((top * ratio).expand(x.shape[1]), bits)
        error = (code(x) - x).square()
        error = error.sum(1) if importance is None else error @ importance
        if (total := float((error * share).sum())) < least:
            best, least = code, total
    return best


def per_group(x: Tensor, group: int, bits: int) -> Code:
    """Return a code with a scale for each ``group`` channels, from their largest magnitude."""
    tops = x.abs().amax(0).unflatten(0, (-1, group)).amax(1)
    return symmetric(tops.repeat_interleave(group), bits)


def gelu_input(x: Tensor, units: tuple[int, ...]) -> Code:
    """Return 8-bit codes from :data:`WINDOW_LOW` to the maximum, for each group of units.

    Parameters
    ----------
    x : (tokens, hidden)
    units : tuple of int
        Sizes of the groups, which have a GELU table each.
    """
    low, high = code_range(8, signed=True)
    scales, zeros = [], []
    for part in x.split(units, 1):
        scale = (part.amax().clamp(min=0.1) - WINDOW_LOW) / (high - low)
        scales.append(scale.expand(part.shape[1]))
        zeros.append(round_half_up(low - WINDOW_LOW / scale).expand(part.shape[1]))
    return Code(torch.cat(scales), torch.cat(zeros), low, high)


def gelu_output(hidden: Tensor, units: tuple[int, ...], bits: int) -> Code:
    """Return unsigned codes from GELU's minimum to the maximum, for each group of units."""
    low, high = code_range(bits, signed=False)
    scales, zeros = [], []
    for part in hidden.split(units, 1):
        top = part.amax().clamp(min=0.05)
        zero = round_half_up(high * -GELU_LOW / (top - GELU_LOW))
        scale = top / (high - zero)
        scales.append(scale.expand(part.shape[1]))
        zeros.append(zero.expand(part.shape[1]))
    return Code(torch.cat(scales), torch.cat(zeros), low, high)


def token_shares(images: int, tokens: int, class_share: float) -> Tensor:
    """Weight of each token's error, (images * tokens,).

    The last token of each image has ``class_share``; with 0, the weight of any other.
    """
    if not class_share:
        return torch.full((images * tokens,), 1 / tokens)
    share = torch.full((images, tokens), (1 - class_share) / max(tokens - 1, 1))
    share[:, -1] = class_share
    return share.flatten()


NormChoice = Callable[[Tensor, int, Tensor, Tensor | None], Code]
"""From a sample, bits, the tokens' shares and the channels' importance to a code."""
HiddenChoice = Callable[[Tensor, tuple[int, ...], int], Code]
"""From a sample of GELU's output, the units of each table, and bits to a code."""
AttentionRounding = Callable[[Tensor, int], Tensor]
"""Rounds normalised attention weights, (..., queries, keys), to so many bits."""


@dataclass(frozen=True)
class Quantizers:
    """Ways to quantize a block's tensors; others than these are for studies.

    The engine runs what :func:`best_symmetric` or a code of powers of two gives for ``norm``, codes
    with one scale for each table for ``hidden``, and the default for ``attention``.

    Parameters
    ----------
    norm, hidden : callable
        Choose the code of a LayerNorm's output, and of GELU's.
    attention : callable
    """

    norm: NormChoice = best_symmetric
    hidden: HiddenChoice = gelu_output
    attention: AttentionRounding = rounded_attention


DEFAULT_QUANTIZERS = Quantizers()
