"""Images with labels: sets in memory, splits, folders of images.

Training and search see a :class:`TrainingData`, which holds no test image. The test set has its
own module, :mod:`nas.testset`, which only the final report imports (a test enforces it).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rtl.errors import UserError
from rtl.model import Preprocessing
from sim.preprocessing import prepare

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")


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


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Data for training and search: no test image is in it.

    Parameters
    ----------
    train, validation : ImageSet
        Images to train the weights with, and images to compare the search's candidates on.
    class_names : tuple of str
    preprocessing : Preprocessing
        Steps that the images went through; the integer model carries them.
    """

    train: ImageSet
    validation: ImageSet
    class_names: tuple[str, ...]
    preprocessing: Preprocessing


def thinned(data: TrainingData, every: int) -> TrainingData:
    """Keep one image in ``every``; the sets are sorted by class, so all classes stay."""
    train, validation = (
        part.take(np.arange(0, len(part), every)) for part in (data.train, data.validation)
    )
    return replace(data, train=train, validation=validation)


class FolderDataset(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Images of any size in one folder per class, as ImageNet is laid out.

    Each is read when asked for, by :func:`sim.preprocessing.prepare`: the very function of golden
    and of the host driver. Wrap it in a ``torch.utils.data.DataLoader`` for worker processes.

    Parameters
    ----------
    root : Path
        Its subfolders, sorted by name, are the classes.
    preprocessing : Preprocessing
    shape : tuple of int
        (height, width, channels) that the network takes.

    Members
    -------
    class_names : tuple of str
    paths : list of (Path, int)
        Image and class.

    Raises
    ------
    UserError
        If there is no class folder, or one without an image; on access, if an image is broken.
    """

    def __init__(
        self, root: Path, preprocessing: Preprocessing, shape: tuple[int, int, int]
    ) -> None:
        if not root.is_dir():
            raise UserError(f"{root}: no such folder")
        folders = sorted(folder for folder in root.iterdir() if folder.is_dir())
        if not folders:
            raise UserError(f"{root}: no class folders in it: expected one folder per class")
        self.preprocessing, self.shape = preprocessing, shape
        self.class_names = tuple(folder.name for folder in folders)
        self.paths: list[tuple[Path, int]] = []
        for label, folder in enumerate(folders):
            found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_ENDINGS)
            if not found:
                raise UserError(f"{folder}: no images in it")
            self.paths += [(path, label) for path in found]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return ((height, width, channels) uint8, class)."""
        path, label = self.paths[index]
        return torch.from_numpy(prepare(path, self.preprocessing, self.shape)), label

    def in_memory(self) -> ImageSet:
        """Read all images: for sets that fit."""
        images, labels = zip(*(self[index] for index in range(len(self))), strict=True)
        return ImageSet(torch.stack(images), torch.tensor(labels))
