"""Second moments of a layer's inputs, summed up chunk by chunk: all that rounding needs to know."""

from dataclasses import dataclass

import torch
from torch import Tensor

LEAST_VARIANCE = 1e-4
"""Variance that inputs are taken to have on average, relative to their mean square."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Centred moments of quantized inputs x̂ and of what a layer should give.

    Parameters
    ----------
    inputs : (depth, depth)
        Mean of (x̂ - E x̂)(x̂ - E x̂)ᵀ.
    cross : (rows, depth)
        Mean of (y - E y)(x̂ - E x̂)ᵀ, with y the aim.
    input_mean : (depth,)
    aim_mean : (rows,)
    lacking : ()
        Variance that is lacking where inputs hardly vary: what their moments hold then is
        little but the rounding of the sums, which are in float32.
    """

    inputs: Tensor
    cross: Tensor
    input_mean: Tensor
    aim_mean: Tensor
    lacking: Tensor

    @property
    def regular(self) -> Tensor:
        """``inputs``, with what is lacking to be inverted: (depth, depth)."""
        return self.inputs + self.lacking * torch.eye(len(self.inputs)).to(self.inputs)

    def best_weight(self, weight: Tensor, ridge: float) -> Tensor:
        """Return the weight of least squared error to the aim: (rows, depth).

        Parameters
        ----------
        weight : (rows, depth)
            What is returned where the inputs say nothing.
        ridge : float
            Pull towards ``weight``, relative to the mean of the diagonal of ``inputs``.
        """
        pull = ridge * self.inputs.diagonal().mean() + self.lacking
        damped = self.inputs + pull * torch.eye(len(self.inputs)).to(self.inputs)
        aim = self.cross + pull * weight
        return torch.linalg.solve(damped.double(), aim.double(), left=False).to(weight)

    def bias(self, weight: Tensor) -> Tensor:
        """Return the bias that brings the mean of a weight's results to the aim's: (rows,)."""
        return self.aim_mean - weight @ self.input_mean


class MomentSums:
    """Sums up :class:`Moments` of token rows; the class token counts for a share of its own.

    Parameters
    ----------
    class_share : float
        Part of the total weight that the last token of each image has; 0 gives it that of any
        other token.
    cross : bool
        Whether moments of the aim with the inputs are wanted; only its mean is, otherwise.
    """

    def __init__(self, class_share: float = 0.0, *, cross: bool = True) -> None:
        self.class_share = class_share
        self.cross = cross
        self.total = 0.0
        self.sums: tuple[Tensor, ...] = ()

    def add(self, inputs: Tensor, aim: Tensor) -> None:
        """Add a chunk: (images, tokens, depth) and (images, tokens, rows)."""
        share = self._weights(inputs.shape[1]).to(inputs)
        x, y = inputs.flatten(0, 1), aim.flatten(0, 1)
        each = share.repeat(len(inputs))
        weighted = x if not self.class_share else x * each[:, None]
        cross = y.T @ weighted if self.cross else y.new_zeros(y.shape[1], x.shape[1])
        parts = (x.T @ weighted, cross, each @ x, each @ y)
        parts = tuple(part.double() for part in parts)
        self.sums = (
            tuple(old + new for old, new in zip(self.sums, parts, strict=True))
            if self.sums
            else parts
        )
        self.total += float(share.sum()) * len(inputs)

    def _weights(self, tokens: int) -> Tensor:
        """Weight of each token of an image."""
        share = torch.ones(tokens)
        if self.class_share and tokens > 1:
            share[-1] = self.class_share / (1 - self.class_share) * (tokens - 1)
        return share

    def moments(self) -> Moments:
        """Return the moments of all chunks so far, in float64."""
        squares, cross, inputs, aim = (part / self.total for part in self.sums)
        centred = squares - torch.outer(inputs, inputs)
        least = squares.diagonal().mean().clamp(min=1e-12) * LEAST_VARIANCE
        return Moments(
            inputs=centred,
            cross=cross - torch.outer(aim, inputs),
            input_mean=inputs,
            aim_mean=aim,
            lacking=(least - centred.diagonal().mean()).clamp(min=0),
        )
