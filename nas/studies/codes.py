"""Codes of others, to be put in the place of this pipeline's (:mod:`nas.studies.quantizers`).

- LayerNorm outputs: :func:`per_channel` (RepQ-ViT, Li et al., arXiv 2212.08254),
  :func:`power_of_two` (FQ-ViT, Lin et al., arXiv 2111.13824), :func:`shared` (DopQ-ViT, Yang et
  al., arXiv 2408.03291: the median of the channels' scales)
- tables of values from 0 to 1: :func:`uniform`, :func:`logarithmic` (AdaLog, Wu et al., arXiv
  2407.12951), :func:`tangent` (as DopQ-ViT's, finer near 1)
- attention weights: :func:`table_attention`, :func:`best_table`
- GELU outputs: :class:`TableCode`, :func:`table_hidden`
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import tan

import torch
from torch import Tensor

from nas.numerics.codes import round_half_up
from nas.quantize import scales
from nas.quantize.codes import Code
from nas.quantize.scales import AttentionRounding, HiddenChoice, NormChoice
from rtl.model.numerics import code_range

KEPT_PARTS = (1.0, 0.9999, 0.999)
"""Parts of a channel's values between its limits that are tried."""
MAX_EXPONENT = 3
"""Largest exponent of a channel of LayerNorm (docs/numerics.md, section 4)."""
DENOMINATOR = 37
"""AdaLog's bases are 2 to the power of a numerator over this."""
NUMERATORS = (3, 4, 5, 6, 7, 8, 10, 12, 15, 19, 25, 37)
"""Numerators that are tried: bases 1.06 to 2."""
CURVES = (0.2, 0.5, 0.8, 1.1, 1.3, 1.45)
"""Angles that are tried: 0.2 is nearly uniform, at 1.45 a step near 1 is an eighth as wide."""
CLIPS = (1.0, 0.8, 0.6)
"""Largest values of GELU's output that are tried, relative to the sample's."""
TOKEN_STEP = 7
"""Every 7th token of a sample is looked at."""


# -------------------------------------------------------------- LayerNorm outputs


def per_channel(x: Tensor, bits: int, share: Tensor, importance: Tensor | None = None) -> Code:
    """Return unsigned codes with a scale and a zero point for each channel.

    RepQ-ViT folds them into the norm's weight and bias and into the next matrix; how the scale that
    is left for all channels is chosen changes no code, as it divides rows of that matrix.

    Parameters
    ----------
    x : (tokens, channels)
    bits : int
    share : (tokens,)
        Weight of each token's error.
    importance : (channels,), optional
        Is not used: a channel's scale decides about that channel alone.
    """
    low, high = code_range(bits, signed=False)
    best, least = None, torch.full((x.shape[1],), torch.inf).to(x)
    for part in KEPT_PARTS:
        bottom = _quantile(x, (1 - part) / 2).clamp(max=0)
        top = _quantile(x, (1 + part) / 2).clamp(min=0)
        scale = ((top - bottom) / high).clamp(min=1e-9)
        code = Code(scale, round_half_up(-bottom / scale), low, high)
        error = share @ (code(x) - x).square()
        if best is None:
            best, least = code, error
            continue
        chosen = error < least
        best = Code(
            torch.where(chosen, code.scale, best.scale),
            torch.where(chosen, code.zero, best.zero),
            low,
            high,
        )
        least = torch.minimum(error, least)
    assert best is not None
    return best


def power_of_two(x: Tensor, bits: int, share: Tensor, importance: Tensor | None = None) -> Code:
    """Return signed codes whose scale is 1, 2, 4 or 8 times that of the finest channels.

    FQ-ViT's power-of-two factors; the engine's LayerNorm has such exponents. Parameters as of
    :func:`nas.quantize.scales.best_symmetric`.
    """
    weight = torch.ones(x.shape[1]).to(x) if importance is None else importance
    best, least = scales.symmetric(x.abs().amax().expand(x.shape[1]), bits), torch.inf
    for ratio in scales.RATIOS[::2]:
        coarsest = x.abs().amax() * ratio
        codes = [
            scales.symmetric((coarsest / 2**step).expand(x.shape[1]), bits)
            for step in range(MAX_EXPONENT + 1)
        ]
        errors = torch.stack([share @ (code(x) - x).square() for code in codes])
        steps = errors.argmin(0)
        if (total := float((errors.amin(0) * weight).sum())) < least:
            best, least = scales.symmetric(coarsest / 2.0**steps, bits), total
    return best


def shared(statistic: Callable[[Tensor], Tensor]) -> NormChoice:
    """Return a choice of one scale for all channels: a statistic of the scale that each would have.

    Parameters
    ----------
    statistic : callable
        (channels,) to ().
    """

    def choose(x: Tensor, bits: int, share: Tensor, importance: Tensor | None = None) -> Code:
        return scales.symmetric(statistic(x.abs().amax(0)).expand(x.shape[1]), bits)

    return choose


def _quantile(x: Tensor, part: float) -> Tensor:
    """Quantile of each channel, of (tokens, channels)."""
    ordered = x.sort(0).values
    return ordered[round(part * (len(x) - 1))]


# -------------------------------------------------------------- tables


@dataclass(frozen=True, eq=False)
class CodeTable:
    """Values from 0 to 1 that codes stand for.

    Parameters
    ----------
    name : str
        What is chosen among several tables: a base, or a curve.
    levels : (codes,)
        Ascending.
    bounds : (codes - 1,)
        The least value that each code but the first is given to.
    """

    name: str
    levels: Tensor
    bounds: Tensor

    def codes(self, x: Tensor) -> Tensor:
        """Return the code of each value, int32; what is halfway goes up."""
        return torch.bucketize(x, self.bounds.to(x), out_int32=True, right=True)

    def values(self, codes: Tensor) -> Tensor:
        """Return what codes, of any type, stand for."""
        return self.levels.index_select(0, codes.int().flatten()).view(codes.shape)

    def __call__(self, x: Tensor) -> Tensor:
        """Round values."""
        return self.values(self.codes(x))


def uniform(bits: int) -> CodeTable:
    """Return codes whose values are equally far apart."""
    top = (1 << bits) - 1
    steps = torch.arange(top + 1)
    return CodeTable("uniform", steps / top, (steps[:-1] + 0.5) / top)


def logarithmic(bits: int, numerator: int, denominator: int = DENOMINATOR) -> CodeTable:
    """Return codes for 1, 1/b, 1/b², ... with b = 2^(numerator / denominator), and one for 0.

    A value is a shift by the whole part of its exponent, and an entry of a small table for the
    rest, rounded to ``2^(bits + 1) - 2`` steps, as in AdaLog's published code. There, what is below
    the last value becomes 0 beside ``2^bits`` codes; here 0 is one of them. Base 2 is (1, 1).

    Parameters
    ----------
    bits : int
    numerator, denominator : int
    """
    count = (1 << bits) - 1
    exponents = numerator * torch.arange(count)
    whole, rest = exponents // denominator, exponents % denominator
    steps = (1 << bits + 1) - 2
    fine = round_half_up(2.0 ** (-rest / denominator) * steps) / steps
    levels = 2.0**-whole * fine
    bounds = 2.0 ** (-numerator * (torch.arange(count) + 0.5) / denominator)
    name = f"2^({numerator}/{denominator})"
    return CodeTable(name, torch.cat([torch.zeros(1), levels.flip(0)]), bounds.flip(0))


def tangent(bits: int, curve: float) -> CodeTable:
    """Return codes of ``tan(curve x) / tan(curve)``, equally far apart: finer near 1 than near 0.

    Parameters
    ----------
    bits : int
    curve : float
        Above 0, below π / 2; the larger, the finer near 1.
    """
    top = (1 << bits) - 1

    def back(codes: Tensor) -> Tensor:
        return (codes / top * tan(curve)).atan() / curve

    steps = torch.arange(top + 1)
    return CodeTable(f"tan {curve:g}", back(steps), back(steps[:-1] + 0.5))


# -------------------------------------------------------------- attention weights


def table_attention(table: CodeTable, *, relative: bool = True) -> AttentionRounding:
    """Return a rounding of attention weights, (..., queries, keys), by a table.

    Parameters
    ----------
    table : CodeTable
    relative : bool
        Codes of what a weight is of the largest one of its query, over their sum, as on the engine;
        otherwise of the weight itself, as in the papers.
    """

    def rounded(weights: Tensor, act_bits: int) -> Tensor:
        if not relative:
            return table(weights)
        values = table(weights / weights.amax(-1, keepdim=True))
        return values / values.sum(-1, keepdim=True)

    return rounded


def best_table(tables: Sequence[CodeTable], weights: Tensor, *, relative: bool = True) -> CodeTable:
    """Return the table of least squared error on a sample of attention weights."""

    def error(of: CodeTable) -> float:
        rounded = table_attention(of, relative=relative)(weights, 0)
        return float((rounded - weights).square().sum())

    return min(tables, key=error)


# -------------------------------------------------------------- GELU outputs


@dataclass(frozen=True, eq=False)
class TableCode(Code):
    """Codes that stand for ``(table.levels[code] - zero) * scale``.

    Parameters
    ----------
    scale, zero : (channels,)
        ``zero`` need not be a whole number.
    low, high : int
    table : CodeTable
    """

    table: CodeTable

    def codes(self, x: Tensor) -> Tensor:
        """Return the codes of (..., channels) real values, in floating point."""
        return self.table.codes(x / self.scale + self.zero).to(x)

    def values(self, codes: Tensor) -> Tensor:
        """Return what (..., channels) codes stand for."""
        return (self.table.values(codes) - self.zero) * self.scale


def table_hidden(tables: Sequence[CodeTable]) -> HiddenChoice:
    """Return a choice of codes of GELU's outputs: the table and clip of least squared error.

    The outputs are shifted by GELU's minimum, which the next layer's bias takes back (AdaLog's bias
    reparametrization). Units of each GELU table have a scale of their own, and the table in common.
    """

    def choose(hidden: Tensor, units: tuple[int, ...], bits: int) -> Code:
        low, high = code_range(bits, signed=False)
        some = hidden[::TOKEN_STEP]
        tops = [
            part.amax().clamp(min=0.05).expand(part.shape[1]) for part in hidden.split(units, 1)
        ]
        best, least = None, torch.inf
        for clip in CLIPS:
            scale = torch.cat(tops) * clip - scales.GELU_LOW
            for table in tables:
                code = TableCode(scale, -scales.GELU_LOW / scale, low, high, table)
                if (error := float((code(some) - some).square().sum())) < least:
                    best, least = code, error
        assert best is not None
        return best

    return choose
