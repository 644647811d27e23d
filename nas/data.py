"""Images with labels: in memory, or wherever else they are read from batch by batch.

Training and search see a :class:`TrainingData`, which holds no test image. The test set has its
own module, :mod:`nas.testset`, which only the final report imports (a test enforces it).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import torch
from torch import Tensor

from rtl.model import Preprocessing


class Images(Protocol):
    """Images with their classes: an :class:`ImageSet`, or :class:`nas.stored.StoredImages`."""

    @property
    def labels(self) -> Tensor:
        """(count,) int64."""
        ...

    @property
    def pixels(self) -> Tensor:
        """(count, height, width, channels) uint8, all of them in memory: for some hundreds."""
        ...

    def __len__(self) -> int: ...

    def take(self, index: Sequence[int] | np.ndarray | Tensor) -> Self:
        """Return the images at the given positions."""
        ...

    def batches(self, size: int) -> Iterator["ImageSet"]:
        """Yield consecutive batches in order; the last one may be smaller."""
        ...

    def content(self) -> Iterator[bytes]:
        """Yield what tells these images from others, for a hash."""
        ...


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Prepared images in memory, with their classes.

    Parameters
    ----------
    pixels : Tensor
        (count, height, width, channels) uint8.
    labels : Tensor
        (count,) int64.
    """

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Sequence[int] | np.ndarray | Tensor) -> "ImageSet":
        """Return the images at the given positions."""
        index = torch.as_tensor(index)
        return ImageSet(self.pixels[index], self.labels[index])

    def batches(self, size: int) -> Iterator["ImageSet"]:
        """Yield consecutive batches in order; the last one may be smaller."""
        for start in range(0, len(self), size):
            yield ImageSet(self.pixels[start : start + size], self.labels[start : start + size])

    def content(self) -> Iterator[bytes]:
        """Yield pixels and labels, for a hash."""
        yield self.pixels.numpy().tobytes()
        yield self.labels.numpy().tobytes()


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Data for training and search: no test image is in it.

    Parameters
    ----------
    train, validation : ImageSet or StoredImages
        Images to train the weights with, and images to compare the search's candidates on.
    class_names : tuple of str
    preprocessing : Preprocessing
        Steps that the images went through; the integer model carries them.
    """

    train: Images
    validation: Images
    class_names: tuple[str, ...]
    preprocessing: Preprocessing


def thinned(data: TrainingData, every: int) -> TrainingData:
    """Keep one image in ``every``; the sets are sorted by class, so all classes stay."""
    train, validation = (
        part.take(np.arange(0, len(part), every)) for part in (data.train, data.validation)
    )
    return replace(data, train=train, validation=validation)


def spread(count: int, chosen: int) -> np.ndarray:
    """Choose some of ``count`` positions, evenly spread; all where there are no more."""
    chosen = min(count, chosen)
    return np.arange(chosen) * count // max(chosen, 1)


def read(images: Images) -> ImageSet:
    """Read images into memory."""
    return ImageSet(images.pixels, images.labels)
