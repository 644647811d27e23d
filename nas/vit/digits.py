"""Handwritten digits for two more figures: which ones to fit, to calibrate and to test with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from boards.host.pictures import prepare
from nas.data import Images
from nas.digits import load_digits
from nas.importer.network import FloatNetwork
from nas.intervals import paired_difference
from nas.testset import load_digits_test
from rtl.files import atomic_write

SEED = 112
FIT, CALIBRATE = 2000, 64
"""Training digits that a probe is fitted to, and other ones that codes are calibrated with."""


@dataclass(frozen=True, eq=False)
class DigitSets:
    """Digits of 28 pixels.

    Parameters
    ----------
    train : Images
        All that a network may be trained with.
    fit, calibration : Images
        Parts of them: to fit a probe, and to choose codes.
    test : Images
        The test set.
    """

    train: Images
    fit: Images
    calibration: Images
    test: Images

    @classmethod
    def load(cls, train: int | None = None, fit: int = FIT, test: int | None = None) -> "DigitSets":
        """Load the digits; of each set the first ones, where a number is given."""
        every, tested = load_digits().train, load_digits_test()
        order = torch.randperm(len(every), generator=torch.Generator().manual_seed(SEED))
        return cls(
            train=every.take(order[:train]),
            fit=every.take(order[:fit]),
            calibration=every.take(order[FIT : FIT + CALIBRATE]),
            test=tested.take(range(test or len(tested))),
        )


def write_pictures(folder: Path, digits: Images) -> tuple[Path, ...]:
    """Write digits as PNG files, unless they are there."""
    paths = tuple(folder / f"{index:02}.png" for index in range(len(digits)))
    for path, pixels in zip(paths, digits.pixels, strict=True):
        if not path.is_file():
            with atomic_write(path) as file:
                Image.fromarray(pixels[..., 0].numpy()).save(file, "PNG")
    return paths


def prepared(digits: Images, network: FloatNetwork) -> Tensor:
    """Prepare digits for a network: (digits, height, width, channels) uint8."""
    pictures = (Image.fromarray(pixels[..., 0].numpy()) for pixels in digits.pixels)
    steps, shape = network.preprocessing, network.image
    return torch.from_numpy(np.stack([prepare(picture, steps, shape) for picture in pictures]))


@dataclass(frozen=True)
class RowAccuracy:
    """Accuracy of an integer model, beside that of the float network on the same images.

    Parameters
    ----------
    name : str
    accuracy : float
        Fraction.
    difference : float
        Points of accuracy, integer minus float.
    interval : (float, float)
        Of the difference, 95 %, in points.
    agreement : float
        Fraction of images to which both give the same answer.
    """

    name: str
    accuracy: float
    difference: float
    interval: tuple[float, float]
    agreement: float

    @classmethod
    def of(
        cls, name: str, found: Sequence[int], expected: Sequence[int], labels: Tensor
    ) -> "RowAccuracy":
        """Compare the answers of integer model and float network with the labels."""
        answers, reference, right = (np.asarray(each) for each in (found, expected, labels))
        paired = paired_difference(answers == right, reference == right)
        return cls(
            name=name,
            accuracy=float((answers == right).mean()),
            difference=100 * paired.mean,
            interval=(100 * paired.low, 100 * paired.high),
            agreement=float((answers == reference).mean()),
        )
