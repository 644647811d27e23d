"""Images to calibrate with: any folder of them, no labels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from boards.host.pictures import ENDINGS, prepare_all
from nas.image_files import find_images
from rtl.errors import UserError
from rtl.model import Preprocessing

LEAST = 2
MOST = 64
"""Images that are used of a larger folder; more help little and take longer."""


def image_files(folder: Path) -> list[Path]:
    """List the images in a folder and the folders in it, sorted.

    Raises
    ------
    UserError
        If there is no such folder, or fewer than :data:`LEAST` images are in it.
    """
    files = find_images(folder)
    if len(files) < LEAST:
        endings = ", ".join(ENDINGS)
        raise UserError(
            f"{folder}: {len(files)} images, at least {LEAST} are needed ({endings}); some 64"
            " different ones, of the kind that the network will see, are good"
        )
    return files


def load_images(
    files: list[Path],
    preprocessing: Preprocessing,
    shape: tuple[int, int, int],
    *,
    most: int = MOST,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """Prepare images as the integer model will.

    Parameters
    ----------
    files : list of Path
        Evenly spaced ones are taken where there are more than ``most``.
    preprocessing : Preprocessing
    shape : (height, width, channels)
    most : int
    progress : callable
        Is told how many are done, and of how many.

    Returns
    -------
    (images, height, width, channels) uint8

    Raises
    ------
    UserError
        If images cannot be read, if all are of a single colour, or all are the same.
    """
    chosen = np.linspace(0, len(files) - 1, min(most, len(files))).round().astype(int)
    some = [files[index] for index in chosen]
    images = torch.from_numpy(prepare_all(some, preprocessing, shape, progress))
    if (images == images[:, :1, :1]).all():
        raise UserError(
            f"{files[0].parent}: every image is of a single colour: give images of the kind that"
            " the network will see"
        )
    if len(images.unique(dim=0)) < LEAST:
        raise UserError(
            f"{files[0].parent}: every image is the same: give different images of the kind that"
            " the network will see"
        )
    return images
