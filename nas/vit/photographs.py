"""Photographs out of pinned packages, and square crops of them: twelve to calibrate, eight to test.

``photographs.json`` has their names, where they come from and their SHA-256; the pictures
themselves are not in the repository.
"""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from nas.vit.wheels import Wheel
from rtl.errors import UserError
from rtl.files import atomic_write

LIST_FILE = "photographs.json"
SCIKIT_IMAGE = Wheel("scikit-image", "0.26.0")
"""Its wheels differ by platform, its photographs do not. Others are in installed packages."""

CALIBRATION, TEST = "calibration", "test"
CROPS = {CALIBRATION: 5, TEST: 3}
"""Crops of each photograph: the centre, and others by :data:`SEED`."""
SEED = 20261129
SIZE = 224
"""Pixels of a crop's side."""
SMALLEST = 0.5
"""Side of a random crop, at least, as part of the photograph's shorter side."""


@dataclass(frozen=True)
class Photograph:
    """A picture in a package.

    Parameters
    ----------
    name : str
        Of its file, without the ending.
    package, path : str
        Package on PyPI, and the file in it.
    sha256 : str
        Of the file.
    """

    name: str
    package: str
    path: str
    sha256: str

    def open(self) -> Image.Image:
        """Read the picture in colour.

        Raises
        ------
        ToolError
            If its package cannot be fetched.
        UserError
            If it is missing, or another picture than it should be.
        """
        data = self._content()
        if (found := hashlib.sha256(data).hexdigest()) != self.sha256:
            raise UserError(
                f"photograph {self.path} of {self.package} has SHA-256 {found}, not {self.sha256}:"
                " its package has changed; the figures are those of the other picture"
            )
        return Image.open(io.BytesIO(data)).convert("RGB")

    def _content(self) -> bytes:
        if self.package == SCIKIT_IMAGE.package:
            return SCIKIT_IMAGE.read(self.path)
        folder, _, inside = self.path.partition("/")
        package = find_spec(folder)
        if package is None or package.origin is None:
            raise UserError(f"the photograph {self.name} is in {self.package}: pip install it")
        try:
            return (Path(package.origin).parent / inside).read_bytes()
        except OSError:
            raise UserError(f"{self.package} has no photograph {self.path} any more") from None


@cache
def photographs(part: str) -> tuple[Photograph, ...]:
    """Return the photographs of :data:`CALIBRATION` or :data:`TEST`."""
    listed = json.loads(list_text())[part]
    return tuple(Photograph(name, **entry) for name, entry in listed.items())


def list_text() -> str:
    """Return the list of photographs as it is stored."""
    return files("nas.vit").joinpath(LIST_FILE).read_text(encoding="utf-8")


def boxes(name: str, size: tuple[int, int], count: int) -> list[tuple[int, int, int, int]]:
    """Choose squares of a photograph: the largest one in the centre, then random ones.

    Parameters
    ----------
    name : str
        Of the photograph; part of the seed, so that photographs do not depend on each other.
    size : (width, height)
        Pixels.
    count : int

    Returns
    -------
    list of (left, top, right, bottom)
    """
    rng = np.random.default_rng([SEED, *name.encode()])
    width, height = size
    shorter = min(size)
    left, top = (width - shorter) // 2, (height - shorter) // 2
    found = [(left, top, left + shorter, top + shorter)]
    for _ in range(count - 1):
        side = int(shorter * rng.uniform(SMALLEST, 1))
        left = int(rng.integers(0, width - side + 1))
        top = int(rng.integers(0, height - side + 1))
        found.append((left, top, left + side, top + side))
    return found


def crops(photograph: Photograph, count: int) -> list[Image.Image]:
    """Cut squares out of a photograph and scale them to :data:`SIZE` pixels, bicubic."""
    image = photograph.open()
    return [
        image.crop(box).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        for box in boxes(photograph.name, image.size, count)
    ]


def crop_file(folder: Path, part: str, name: str, index: int) -> Path:
    """Return the file of a crop: the centre has index 0."""
    return folder / part / f"{name}-{index}.png"


def write_crops(
    folder: Path, part: str, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Path]:
    """Write the crops of all photographs of a part as PNG files, unless they are there.

    Returns
    -------
    list of Path
        In the order of the list of photographs.
    """
    chosen, found = photographs(part), []
    for number, photograph in enumerate(chosen):
        progress(number, len(chosen))
        paths = [crop_file(folder, part, photograph.name, i) for i in range(CROPS[part])]
        if not all(path.is_file() for path in paths):
            for path, crop in zip(paths, crops(photograph, CROPS[part]), strict=True):
                with atomic_write(path) as file:
                    crop.save(file, "PNG")
        found += paths
    progress(len(chosen), len(chosen))
    return found
