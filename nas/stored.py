"""Images with labels that stay in their files, read batch by batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nas.data import ImageSet
from nas.folder import read_prepared
from rtl.errors import UserError
from rtl.model import Preprocessing

READ = 64  # images that a worker reads at a time


@dataclass(frozen=True, eq=False)
class StoredImages:
    """Prepared images in files, with their classes; a :class:`nas.data.ImageSet` in all but place.

    Parameters
    ----------
    files : tuple of Path
    labels : Tensor
        (count,) int64.
    digests : ndarray
        (count, 32) uint8, SHA-256 of each file's content.
    preprocessing : Preprocessing
    shape : tuple of int
        (height, width, channels) that it gives.
    workers : int
        Processes that read ahead; none for few images.
    """

    files: tuple[Path, ...]
    labels: Tensor
    digests: np.ndarray
    preprocessing: Preprocessing
    shape: tuple[int, int, int]
    workers: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def pixels(self) -> Tensor:
        """(count, height, width, channels) uint8, all of them in memory: for some hundreds."""
        pixels = torch.empty((len(self), *self.shape), dtype=torch.uint8)
        start = 0
        for part in self.batches(READ):
            pixels[start : start + len(part)] = part.pixels
            start += len(part)
        return pixels

    def take(self, index: Sequence[int] | np.ndarray | Tensor) -> "StoredImages":
        """Return the images at the given positions, unread."""
        index = np.asarray(index, dtype=np.int64)
        return replace(
            self,
            files=tuple(self.files[i] for i in index),
            labels=self.labels[torch.from_numpy(index)],
            digests=self.digests[index],
        )

    def batches(self, size: int) -> Iterator[ImageSet]:
        """Yield consecutive batches in order; the last one may be smaller.

        Raises
        ------
        UserError
            If an image cannot be read any more: names it.
        """
        start = 0
        for part in read_prepared(self.files, self.preprocessing, self.shape, size, self.workers):
            yield ImageSet(stacked(part), self.labels[start : start + len(part)])
            start += len(part)

    def content(self) -> Iterator[bytes]:
        """Yield the files' hashes and the labels, for a hash."""
        yield self.digests.tobytes()
        yield self.labels.numpy().tobytes()


def stacked(images: Sequence[np.ndarray | UserError]) -> Tensor:
    """Make a batch of images: (count, height, width, channels) uint8.

    Raises
    ------
    UserError
        If one of them could not be read.
    """
    arrays = []
    for image in images:
        if isinstance(image, UserError):
            raise image
        arrays.append(image)
    return torch.from_numpy(np.stack(arrays))
