"""Trend of the score over the genes: a ridge regression on the subnets that were evaluated."""

from collections.abc import Sequence

import numpy as np

from nas.search.evolution_state import Genes

RIDGE = 4.0  # on genes that count steps; about the squared ratio of noise to a step's effect


class Trend:
    """Linear estimate of the cross-entropy from the genes.

    Parameters
    ----------
    genes : sequence of tuple of int
        Subnets that were evaluated, at least one.
    values : sequence of float
        Their cross-entropies, in nats.

    Attributes
    ----------
    steps : ndarray
        (genes,) how much a step up of each gene adds to the cross-entropy; negative is a gain.
    """

    def __init__(self, genes: Sequence[Genes], values: Sequence[float]) -> None:
        x, y = np.array(genes, dtype=float), np.array(values)
        self._genes, self._value = x.mean(0), y.mean()
        centred = x - self._genes
        gram = centred.T @ centred + RIDGE * np.eye(x.shape[1])
        self.steps = np.linalg.solve(gram, centred.T @ (y - self._value))

    def __call__(self, genes: Genes) -> float:
        """Estimate the cross-entropy of a subnet, in nats."""
        return float(self._value + (np.array(genes) - self._genes) @ self.steps)
