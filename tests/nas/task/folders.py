"""Folders of small pictures to open tasks of."""

from pathlib import Path

import numpy as np
from PIL import Image


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (16, 16), mode: str = "RGB") -> None:
    """Save a random picture; ``size`` is its width and height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = size[::-1] if mode == "L" else (*size[::-1], 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape)
    Image.fromarray(pixels.astype(np.uint8), mode).save(path)


def fill(folder: Path, count: int = 10, classes: tuple[str, ...] = ("ant", "bee"), **how) -> Path:
    """Make a folder of pictures for each class."""
    for place, name in enumerate(classes):
        for index in range(count):
            picture(folder / name / f"{index}.png", 100 * place + index, **how)
    return folder
