"""Rows of weights rounded to 4 or 8 bits, against the inputs that they will be multiplied by.

All functions take real weights *of codes*: column j already holds the scale of input code j. What
is minimised is the squared error of a row's result, ``(w - codes * step) H (w - codes * step)``,
with H the second moments of the inputs.

- :func:`nearest`: every weight by itself; the step of least error is searched for
- :func:`compensated`: column by column, the rest of the row takes over the error (GPTQ, Frantar et
  al., arXiv 2210.17323)
- :func:`descended`: sweeps over the columns, each code set to its best given all others, and the
  step to its best given the codes
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nas.numerics.codes import round_half_up

STEP_RATIOS = torch.linspace(0.4, 1.0, 25)
"""Steps that are tried, relative to the one at which no weight is clipped."""


@dataclass(frozen=True, eq=False)
class Rows:
    """A matrix in integers: the real weight of an input code is ``codes * step``.

    Parameters
    ----------
    codes : (rows, depth)
        Integers of 4 or 8 bits, as float32.
    bits : (rows,) int64
    step : (rows,)
    """

    codes: Tensor
    bits: Tensor
    step: Tensor

    @property
    def weight(self) -> Tensor:
        """Real weights that the codes stand for: (rows, depth)."""
        return self.codes * self.step[:, None]

    def part(self, rows: slice) -> "Rows":
        """Some of the rows."""
        return Rows(self.codes[rows], self.bits[rows], self.step[rows])


def nearest(weight: Tensor, bits: Tensor, importance: Tensor | None = None) -> Rows:
    """Round each weight by itself, with the best of several steps for each row.

    Parameters
    ----------
    weight : (rows, depth)
    bits : (rows,) int64
        4 or 8.
    importance : (depth,), optional
        Weight of a column's squared error: the diagonal of the inputs' second moments.
    """
    low, high = limits(bits)
    top = weight.abs().amax(1, keepdim=True).clamp(min=1e-12) / high
    best = torch.full((len(weight), 1), torch.inf, dtype=weight.dtype, device=weight.device)
    step = top.clone()
    for ratio in STEP_RATIOS.tolist():
        tried = top * ratio
        error = round_half_up(weight / tried).clamp(low, high) * tried - weight
        error = error.square() if importance is None else error.square() * importance
        total = error.sum(1, keepdim=True)
        step = torch.where(total < best, tried, step)
        best = torch.minimum(best, total)
    return Rows(round_half_up(weight / step).clamp(low, high), bits, step[:, 0])


def compensated(weight: Tensor, bits: Tensor, moments: Tensor, damping: float = 0.01) -> Rows:
    """Round column by column; the columns that are left take over the error.

    Parameters
    ----------
    weight : (rows, depth)
    bits : (rows,) int64
    moments : (depth, depth)
        Second moments of the inputs. Those of LayerNorm outputs are nearly singular, hence:
    damping : float
        Added to the diagonal, relative to its mean.
    """
    start = nearest(weight, bits, moments.diagonal())
    low, high = limits(bits)
    step = start.step[:, None]
    order = moments.diagonal().argsort(descending=True)
    upper = _inverse_root(_damped(moments, damping)[order][:, order])
    rest = (weight / step)[:, order].clone()
    codes = torch.empty_like(rest)
    size = 64  # columns at a time; their effect on all later ones is one matrix product
    for first in range(0, rest.shape[1], size):
        last = min(first + size, rest.shape[1])
        errors = rest.new_empty(len(rest), last - first)
        for j in range(first, last):
            codes[:, j] = round_half_up(rest[:, j]).clamp(low[:, 0], high[:, 0])
            error = (rest[:, j] - codes[:, j]) / upper[j, j]
            rest[:, j:last] -= error[:, None] * upper[j, j:last]
            errors[:, j - first] = error
        rest[:, last:] -= errors @ upper[first:last, last:]
    result = torch.empty_like(codes)
    result[:, order] = codes
    return replace(start, codes=result)


def descended(
    weight: Tensor, moments: Tensor, start: Rows, *, sweeps: int = 2, damping: float = 0.01
) -> Rows:
    """Improve rows by coordinate descent over the codes, with closed-form steps.

    Parameters
    ----------
    weight : (rows, depth)
        The aim, which may differ from what ``start`` was rounded from.
    moments : (depth, depth)
    start : Rows
    sweeps : int
        Times that every column is looked at.
    damping : float
        As of :func:`compensated`.
    """
    moments = _damped(moments, damping)
    low, high = limits(start.bits)
    diagonal = moments.diagonal()
    order = diagonal.argsort(descending=True).tolist()
    codes, step = start.codes.clone(), best_step(weight, moments, start)
    pull = weight @ moments  # (rows, depth): what the codes should give
    for _ in range(sweeps):
        given = codes @ moments
        for j in order:
            aim = codes[:, j] + (pull[:, j] / step - given[:, j]) / diagonal[j]
            new = round_half_up(aim).clamp(low[:, 0], high[:, 0])
            change = new - codes[:, j]
            codes[:, j] = new
            given.addr_(change, moments[j])
        step = best_step(weight, moments, Rows(codes, start.bits, step))
    return Rows(codes, start.bits, step)


def best_step(weight: Tensor, moments: Tensor, rows: Rows) -> Tensor:
    """Return the step of least error for given codes; the old one where that is not positive."""
    given = rows.codes @ moments
    over = (given * rows.codes).sum(1)
    step = (given * weight).sum(1) / over.clamp(min=1e-30)
    return torch.where((step > 0) & (over > 0), step, rows.step)


def squared_error(weight: Tensor, rows: Rows, moments: Tensor) -> Tensor:
    """Return the squared error of each row's result: (rows,)."""
    error = weight - rows.weight
    return ((error @ moments) * error).sum(1)


def limits(bits: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest and highest code of each row: (rows, 1)."""
    half = torch.pow(2, bits - 1)[:, None]
    return -half, half - 1


def _damped(moments: Tensor, damping: float) -> Tensor:
    diagonal = moments.diagonal()
    extra = damping * diagonal.mean() + 1e-12 * diagonal.max()
    return moments + extra * torch.eye(len(moments)).to(moments)


def _inverse_root(moments: Tensor) -> Tensor:
    """Upper triangle U with ``inverse(moments) = U.T @ U``."""
    lower = torch.linalg.cholesky(moments.double())
    return torch.linalg.cholesky(torch.cholesky_inverse(lower), upper=True).to(moments)
