"""Images to calibrate with: any folder of them, no labels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from boards.host.pictures import prepare
from rtl.errors import UserError
from rtl.model import Preprocessing

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
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
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    files = sorted(filter(_is_image, folder.rglob("*")))
    if len(files) < LEAST:
        endings = ", ".join(IMAGE_ENDINGS)
        raise UserError(
            f"{folder}: {len(files)} images, at least {LEAST} are needed ({endings}); some 64"
            " different ones, of the kind that the network will see, are good"
        )
    return files


def _is_image(path: Path) -> bool:
    """Whether it is a file by the name of an image, which those that macOS hides are not."""
    named = path.suffix.lower() in IMAGE_ENDINGS and not path.name.startswith(".")
    return named and path.is_file()


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
        If an image cannot be read, if all are of a single colour, or all are the same.
    """
    chosen = np.linspace(0, len(files) - 1, min(most, len(files))).round().astype(int)
    pixels = []
    for number, index in enumerate(chosen):
        progress(number, len(chosen))
        pixels.append(torch.from_numpy(prepare(files[index], preprocessing, shape)))
    images = torch.stack(pixels)
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
