"""Uncertainty of accuracies and losses: of one model, and of two on the same images.

Sources: E. B. Wilson, JASA 22 (1927), 209-212; R. G. Newcombe, Statistics in Medicine 17 (1998),
2635-2650, method 10.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np

Z_95 = 1.959964  # two-sided 95 % of a normal distribution


@dataclass(frozen=True)
class Difference:
    """Mean of a first model minus that of a second, and its 95 % interval."""

    mean: float
    low: float
    high: float


def wilson(successes: int, count: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson's score interval of a fraction.

    >>> [round(limit, 4) for limit in wilson(960, 1000)]
    [0.946, 0.9705]
    """
    if not 0 <= successes <= count or count == 0:
        raise ValueError(f"successes must lie in 0 ... {count} of a count >= 1, not {successes}")
    fraction, z2 = successes / count, z * z
    centre = (fraction + z2 / (2 * count)) / (1 + z2 / count)
    spread = fraction * (1 - fraction) / count + z2 / (4 * count * count)
    half = z * sqrt(spread) / (1 + z2 / count)
    return max(0.0, centre - half), min(1.0, centre + half)


def paired_difference(first: np.ndarray, second: np.ndarray) -> Difference:
    """Compare two models image by image: far sharper than two separate intervals.

    Newcombe's interval is that of Wilson for each model, joined by how their answers correlate. It
    has a width where the two never differ, and stays within -1 ... 1.

    Parameters
    ----------
    first, second : (count,) bool
        Right or wrong, of the same images in the same order.
    """
    if first.shape != second.shape:
        raise ValueError(f"both need the same images, not {first.shape} and {second.shape}")
    count = len(first)
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    one, other = int((first & ~second).sum()), int((~first & second).sum())
    mean = (one - other) / count
    (low1, high1), (low2, high2) = wilson(both + one, count), wilson(both + other, count)
    p1, p2 = (both + one) / count, (both + other) / count
    phi = _correlation(both, one, other, neither)

    def joined(first: float, second: float) -> float:
        return sqrt(max(0.0, first**2 - 2 * phi * first * second + second**2))

    return Difference(
        mean, mean - joined(p1 - low1, high2 - p2), mean + joined(high1 - p1, p2 - low2)
    )


def paired_mean_difference(first: np.ndarray, second: np.ndarray) -> Difference:
    """Compare the losses of two models image by image; the interval is that of a normal mean.

    Parameters
    ----------
    first, second : (count,) float
        Values of the same images in the same order; at least two.
    """
    if first.shape != second.shape or len(first) < 2:
        raise ValueError(f"both need the same images, not {first.shape} and {second.shape}")
    differences = first.astype(float) - second
    mean, half = differences.mean(), Z_95 * differences.std(ddof=1) / sqrt(len(differences))
    return Difference(float(mean), float(mean - half), float(mean + half))


def _correlation(both: int, one: int, other: int, neither: int) -> float:
    """Correlation of right answers, corrected for continuity where it is positive."""
    count = both + one + other + neither
    margins = (both + one) * (other + neither) * (both + other) * (one + neither)
    if not margins:
        return 0.0
    product = both * neither - one * other
    return (max(product - count / 2, 0.0) if product > 0 else product) / sqrt(margins)
