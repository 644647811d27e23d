"""A folder of images, perhaps with a folder for each class, read batch by batch.

Finding the files is torchvision's; pixels come from :func:`boards.host.pictures.prepare`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset

from boards.host.pictures import prepare
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
        How class folders were matched with the network's classes, in words.
    """

    folder: Path
    files: tuple[Path, ...]
    labels: np.ndarray | None = None
    matching: str = "no classes"

    def spread(self, count: int) -> "ImageFolder":
        """Return at most ``count`` of the images, evenly spread."""
        if count >= len(self.files):
            return self
        chosen = np.arange(count) * len(self.files) // count
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
            If an image cannot be read.
        """
        preprocessing.check(shape)
        loader = DataLoader(
            _Pixels(self.files, preprocessing, shape),
            batch_size=batch,
            num_workers=workers if len(self.files) > INLINE else 0,
            collate_fn=_stacked,
        )
        for pixels in loader:
            if isinstance(pixels, UserError):
                raise pixels
            yield pixels


@dataclass(frozen=True)
class _Pixels(Dataset):
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


def _stacked(images: Sequence[np.ndarray | UserError]) -> Tensor | UserError:
    """Join images to a batch, unless one of them could not be read."""
    for image in images:
        if isinstance(image, UserError):
            return image
    return torch.from_numpy(np.stack([np.asarray(image) for image in images]))


def open_folder(
    folder: Path, class_names: Sequence[str] = (), classes: int | None = None
) -> ImageFolder:
    """Find a folder's images.

    Class folders are named as the network's classes, or numbered from 0; where they are neither,
    but as many as the classes, sorted order decides.

    Parameters
    ----------
    folder : Path
        Holds images, or a folder of images for each class.
    class_names : sequence of str
        Of the network.
    classes : int, optional
        Number of classes, where it is known; by default that of ``class_names``. Without classes,
        class folders are just folders.

    Raises
    ------
    UserError
        If there is no image, or a class that the network does not have.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}")
    classes = classes or len(class_names)
    flat = sorted(file for file in folder.iterdir() if _is_image(file))
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    index = {name: number for number, name in enumerate(names)}
    found = make_dataset(folder, index, IMG_EXTENSIONS, allow_empty=True) if names else []
    if not found and not flat:
        kinds = ", ".join(IMG_EXTENSIONS)
        raise UserError(f"{folder} holds no image: files that end with {kinds}")
    files = tuple(Path(file) for file, _ in found)
    if not classes or not found:
        return ImageFolder(folder, tuple(flat) + files)
    if flat:
        raise UserError(
            f"{folder} holds images beside class folders, such as {flat[0].name}: give them a class"
        )
    used = [names[number] for number in sorted({number for _, number in found})]
    numbers, matching = _matched(folder, used, class_names, classes)
    labels = np.array([numbers[names[number]] for _, number in found], np.int64)
    return ImageFolder(folder, files, labels, matching)


def _is_image(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in IMG_EXTENSIONS


def _matched(
    folder: Path, names: Sequence[str], class_names: Sequence[str], classes: int
) -> tuple[dict[str, int], str]:
    """Return the class of each folder, and how it was found."""
    known = {name: number for number, name in enumerate(class_names)}
    if known.keys() >= set(names):
        return {name: known[name] for name in names}, "by name"
    if all(name.isdecimal() and int(name) < classes for name in names):
        return {name: int(name) for name in names}, "by number"
    if len(names) == classes:
        return {name: number for number, name in enumerate(names)}, "in sorted order"
    stranger = next(name for name in names if name not in known)
    raise UserError(
        f"{folder / stranger}: the network has no class of this name, and {len(names)} folders"
        f" are not its {classes:,} classes in sorted order: name them after its classes, or number"
        " them from 0"
    )
