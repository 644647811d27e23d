"""Trend of a value over the genes: a ridge regression on subnets whose value is known."""

from collections.abc import Sequence

import numpy as np

from nas.search.evolution_state import Genes

RIDGE = 4.0  # on genes that count steps; about the squared ratio of noise to a step's effect


class Trend:
    """Linear estimate of a subnet's value, such as its cross-entropy, from its genes.

    Parameters
    ----------
    genes : sequence of tuple of int
        Subnets whose value is known, at least one.
    values : sequence of float
        Their values.

    Attributes
    ----------
    steps : ndarray
        (genes,) how much a step up of each gene adds to the value.
    """

    def __init__(self, genes: Sequence[Genes], values: Sequence[float] | np.ndarray) -> None:
        x, y = np.array(genes, dtype=float), np.array(values)
        self._genes, self._value = x.mean(0), y.mean()
        centred = x - self._genes
        gram = centred.T @ centred + RIDGE * np.eye(x.shape[1])
        self.steps = np.linalg.solve(gram, centred.T @ (y - self._value))

    def __call__(self, genes: Genes) -> float:
        """Estimate the value of a subnet."""
        return float(self._value + (np.array(genes) - self._genes) @ self.steps)
