"""Intervals of a mean over two kinds of things that were drawn, by the bootstrap."""

import numpy as np

from nas.intervals import Difference

DRAWS = 2000


def crossed_mean(differences: np.ndarray) -> Difference:
    """Mean where all of the first kind meet the same ones of the second: networks and images.

    Each draw takes networks and, independently, images, both with replacement.

    Parameters
    ----------
    differences : (networks, images) float
        Of a first model minus a second.
    """
    rng = np.random.default_rng(0)
    networks, images = differences.shape
    draws = [
        np.bincount(rng.integers(networks, size=networks), minlength=networks)
        @ differences
        @ np.bincount(rng.integers(images, size=images), minlength=images)
        for _ in range(DRAWS)
    ]
    return _difference(differences, np.array(draws) / differences.size)


def nested_mean(differences: np.ndarray) -> Difference:
    """Mean where each of the first kind has its own of the second: splits and their test images.

    Each draw takes splits with replacement, and of each split images with replacement. The splits'
    means vary by their images as well, so the interval is rather too wide than too narrow.

    Parameters
    ----------
    differences : (splits, images) float
        Of a first model minus a second.
    """
    rng = np.random.default_rng(0)
    splits, images = differences.shape
    draws = [
        np.mean(
            [
                differences[split, rng.integers(images, size=images)].mean()
                for split in rng.integers(splits, size=splits)
            ]
        )
        for _ in range(DRAWS)
    ]
    return _difference(differences, np.array(draws))


def _difference(differences: np.ndarray, draws: np.ndarray) -> Difference:
    low, high = np.quantile(draws, (0.025, 0.975))
    return Difference(float(differences.mean()), float(low), float(high))
