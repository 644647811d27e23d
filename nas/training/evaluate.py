"""Accuracy with its uncertainty: Wilson's interval, and paired differences of two models."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from torch import Tensor

from nas.data import ImageSet
from nas.space import Arch
from nas.supernet.supernet import Supernet

Z_95 = 1.959964  # two-sided 95 % of a normal distribution


@dataclass(frozen=True, eq=False)
class Result:
    """Answers of a model on a set of images.

    Parameters
    ----------
    predicted : ndarray
        (count,) class of the highest logit; the first one among equals.
    correct : ndarray
        (count,) bool.
    cross_entropy : ndarray
        (count,) in nats: finer than right or wrong, for comparing candidates.
    """

    predicted: np.ndarray
    correct: np.ndarray
    cross_entropy: np.ndarray

    @property
    def accuracy(self) -> float:
        """Fraction of right answers."""
        return float(self.correct.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy, on other images of the same kind."""
        return wilson(int(self.correct.sum()), len(self.correct))


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


@dataclass(frozen=True)
class Difference:
    """Mean of first minus second over the same images, and its 95 % interval."""

    mean: float
    low: float
    high: float


def paired_difference(first: np.ndarray, second: np.ndarray) -> Difference:
    """Compare two models image by image: far sharper than two separate intervals.

    first, second: (count,) right or wrong, or any score per image, in the same order.
    """
    if first.shape != second.shape:
        raise ValueError(f"both need the same images, not {first.shape} and {second.shape}")
    difference = first.astype(np.float64) - second.astype(np.float64)
    mean = float(difference.mean())
    half = (
        Z_95 * float(difference.std(ddof=1)) / sqrt(len(difference)) if len(difference) > 1 else 0
    )
    return Difference(mean, mean - half, mean + half)


@torch.no_grad()
def evaluate(predict: Callable[[Tensor], Tensor], images: ImageSet, batch: int = 250) -> Result:
    """Classify all images.

    Parameters
    ----------
    predict : callable
        (batch, height, width, channels) uint8 to (batch, classes) logits in real values.
    """
    logits = torch.cat([predict(part.pixels).float() for part in images.batches(batch)]).cpu()
    predicted = logits.argmax(1)
    loss = torch.nn.functional.cross_entropy(logits, images.labels, reduction="none")
    return Result(predicted.numpy(), (predicted == images.labels).numpy(), loss.numpy())


def evaluate_subnet(
    net: Supernet, arch: Arch, images: ImageSet, *, quantized: bool = True
) -> Result:
    """Evaluate one subnet in quantized or float mode."""
    run = net.quantized if quantized else net
    return evaluate(lambda images: run(images, arch), images)
