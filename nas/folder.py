"""A folder of images, perhaps with their classes, read batch by batch.

Pixels come from :func:`boards.host.pictures.prepare`.
"""

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from boards.host.pictures import ENDINGS, one_error, prepare
from nas.data import spread
from nas.image_files import find_images
from nas.labels import labels_of, match_classes, read_table, table_beside
from rtl.errors import UserError
from rtl.model import Preprocessing

INLINE = 64  # images up to which starting processes takes longer than reading


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """Images and their labels.

    Parameters
    ----------
    folder : Path
    files : tuple of Path
    labels : ndarray, optional
        (files,) classes of the network; None where there are no class folders.
    matching : str
        How classes were matched with the network's, in words.
    origin : str
        Where they are from, in words.
    """

    folder: Path
    files: tuple[Path, ...]
    labels: np.ndarray | None = None
    matching: str = "no classes"
    origin: str = "class folders"

    def spread(self, count: int) -> "ImageFolder":
        """Return at most ``count`` of the images, evenly spread."""
        if count >= len(self.files):
            return self
        chosen = spread(len(self.files), count)
        labels = None if self.labels is None else self.labels[chosen]
        return replace(self, files=tuple(self.files[i] for i in chosen), labels=labels)

    def batches(
        self,
        preprocessing: Preprocessing,
        shape: tuple[int, int, int],
        batch: int,
        workers: int = 0,
    ) -> Iterator[Tensor]:
        """Yield pixels, (at most batch, height, width, channels) uint8, in the files' order.

        Parameters
        ----------
        preprocessing : Preprocessing
        shape : tuple of int
            (height, width, channels) that it gives.
        batch : int
        workers : int
            Processes that read ahead; none for few images.

        Raises
        ------
        UserError
            If images cannot be read: at the end, when all of them are known.
        """
        preprocessing.check(shape)
        problems: list[UserError] = []
        for images in read_prepared(self.files, preprocessing, shape, batch, workers):
            problems += [image for image in images if isinstance(image, UserError)]
            if not problems:  # otherwise only the others like it are still of interest
                yield torch.from_numpy(np.stack(images))
        if problems:
            raise one_error(problems)


def read_prepared(
    files: Sequence[Path],
    preprocessing: Preprocessing,
    shape: tuple[int, int, int],
    batch: int,
    workers: int = 0,
) -> Iterator[list[np.ndarray | UserError]]:
    """Prepare images in batches: each is (height, width, channels) uint8, or what is wrong with it.

    Parameters
    ----------
    files : sequence of Path
    preprocessing : Preprocessing
    shape : tuple of int
        (height, width, channels) that it gives.
    batch : int
    workers : int
        Processes that read ahead; none for few images.
    """
    images = PreparedFiles(tuple(files), preprocessing, shape)
    yield from read_ahead(images, workers if len(files) > INLINE else 0, batch_size=batch)


def read_ahead(items: Dataset, workers: int, **batches: Any) -> Iterator[list[Any]]:
    """Read batches of a data set's items in processes, one after the other.

    Parameters
    ----------
    items : Dataset
    workers : int
        Processes; with none, this one reads.
    **batches
        What :class:`torch.utils.data.DataLoader` makes batches by.

    Raises
    ------
    UserError
        If a process is gone.
    """
    loader = DataLoader(
        items,
        num_workers=workers,
        collate_fn=list,
        worker_init_fn=_leave_interrupts,
        **batches,
    )
    try:
        yield from loader
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise UserError(
            f"one of {workers} processes that read images was ended, perhaps for lack of memory:"
            " lower --workers"
        ) from None


def _leave_interrupts(worker: int) -> None:
    """Let Ctrl-C be the main process's business, which still wants what a worker reads."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@dataclass(frozen=True)
class PreparedFiles(Dataset):
    """Prepared images, or what is wrong with them: a loader's process cannot raise in one line."""

    files: tuple[Path, ...]
    preprocessing: Preprocessing
    shape: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> np.ndarray | UserError:
        try:
            return prepare(self.files[index], self.preprocessing, self.shape)
        except UserError as error:
            return error


def open_folder(
    folder: Path,
    class_names: Sequence[str] = (),
    classes: int | None = None,
    table: Path | None = None,
) -> ImageFolder:
    """Find a folder's images, and their classes.

    Classes are those of a table (:func:`nas.labels.read_table`) where there is one, else the
    folders in the folder. They are named as the network's classes, numbered from 0, or WordNet's
    numbers of ImageNet; where they are neither, but as many as the classes, sorted order decides.

    Parameters
    ----------
    folder : Path
        Holds images, perhaps with a table of classes; or a folder of images for each class.
    class_names : sequence of str
        Of the network.
    classes : int, optional
        Number of classes, where it is known; by default that of ``class_names``. Without classes,
        class folders are just folders.
    table : Path, optional
        Table of classes; by default one in the folder.

    Raises
    ------
    UserError
        If there is no image, or a class that the network does not have.
    """
    files = find_images(folder)
    if not files:
        raise UserError(f"{folder} holds no image: files that end with {', '.join(ENDINGS)}")
    classes = classes or len(class_names)
    if not classes:
        if table:
            raise UserError(f"{table}: the network has no classes: give images alone")
        return ImageFolder(folder, tuple(files))
    flat = [file for file in files if file.parent == folder]
    table = table or table_beside(folder)
    if table:
        labels = labels_of(files, folder, read_table(table), str(table))
    elif len(flat) == len(files):
        return ImageFolder(folder, tuple(files))
    elif flat:
        raise UserError(
            f"{folder} holds images beside class folders, such as {flat[0].name}: give them a class"
        )
    else:
        labels = [file.relative_to(folder).parts[0] for file in files]
    numbers, matching = match_classes(table or folder, sorted(set(labels)), class_names, classes)
    order = np.array([numbers[label] for label in labels], np.int64)
    origin = f"classes of {table.name}" if table else "class folders"
    return ImageFolder(folder, tuple(files), order, matching, origin)
