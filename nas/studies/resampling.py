"""Intervals of a mean over two kinds of things that were drawn, by the bootstrap."""

from collections.abc import Callable, Mapping

import numpy as np

from nas.intervals import Difference

DRAWS = 2000
Draw = Callable[[np.random.Generator], float]
"""The mean of one sample that was drawn with replacement."""


def crossed_mean(differences: np.ndarray) -> Difference:
    """Mean where all of the first kind meet the same ones of the second: networks and images.

    Each draw takes networks and, independently, images, both with replacement.

    Parameters
    ----------
    differences : (networks, images) float
        Of a first model minus a second.
    """
    networks, images = differences.shape

    def draw(rng: np.random.Generator) -> float:
        some = rng.integers(networks, size=networks), rng.integers(images, size=images)
        return float(differences[np.ix_(*some)].mean())

    return _bootstrapped(differences, draw)


def nested_mean(differences: np.ndarray) -> Difference:
    """Mean where each of the first kind has its own of the second: splits and their test images.

    Each draw takes splits with replacement, and of each split images with replacement. The splits'
    means vary by their images as well, so the interval is rather too wide than too narrow.

    Parameters
    ----------
    differences : (splits, images) float
        Of a first model minus a second.
    """
    splits, images = differences.shape

    def draw(rng: np.random.Generator) -> float:
        some = rng.integers(splits, size=splits)
        return float(
            np.mean([differences[each, rng.integers(images, size=images)].mean() for each in some])
        )

    return _bootstrapped(differences, draw)


def cell(values: Mapping[str, float], digits: int = 4) -> str:
    """Show a :class:`Difference`, as JSON has it, in a table: the mean above its interval."""
    mean, low, high = (f"{values[name]:+.{digits}f}" for name in ("mean", "low", "high"))
    return f"{mean}\n{low}..{high}"


def _bootstrapped(differences: np.ndarray, draw: Draw) -> Difference:
    rng = np.random.default_rng(0)
    low, high = np.quantile([draw(rng) for _ in range(DRAWS)], (0.025, 0.975))
    return Difference(float(differences.mean()), float(low), float(high))
