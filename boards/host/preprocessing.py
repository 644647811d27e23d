"""The recipe from an image file to a network's pixels.

Source: docs/format.md, section Preprocessing. :func:`boards.host.pictures.prepare` follows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from boards.host import checks
from boards.host.errors import UserError

RESIZE_MAX = 4096
CROP_MAX = 1 << 16
CHANNELS = {"L": 1, "RGB": 3}
MARGINS = ("floor", "even")
FORMAT_1 = ("crop", "mode", "resize", "interpolation", "invert")
FORMAT_2 = ("margin", "pad")  # keys that a file of format 1 does not have


@dataclass(frozen=True)
class Preprocessing:
    """Steps from an image to pixels: convert, resize, pad, crop, invert.

    Parameters
    ----------
    crop : (height, width)
        Size of the result in pixels, cut from the centre.
    mode : str
        ``"L"`` (one channel) or ``"RGB"``.
    resize : int or (height, width), optional
        Pixels of the shorter side after resizing, or of both, which does not keep the proportions;
        without it the image keeps its size.
    interpolation : str
        ``"bilinear"`` or ``"bicubic"``.
    invert : bool
        Replace x by 255 - x.
    margin : str
        How half of an odd margin is rounded: ``"floor"``, or ``"even"`` to the even neighbour,
        as torchvision does.
    pad : int, optional
        Value around an image that is smaller than the crop, 0 ... 255; without it, such an image is
        refused.
    """

    crop: tuple[int, int]
    mode: str
    resize: int | tuple[int, int] | None = None
    interpolation: str = "bilinear"
    invert: bool = False
    margin: str = "floor"
    pad: int | None = None

    @property
    def format(self) -> int:
        """Lowest format of a file that can hold it."""
        plain = self.margin == "floor" and self.pad is None and not isinstance(self.resize, tuple)
        return 1 if plain else 2

    def header(self, format_number: int | None = None) -> dict[str, Any]:
        """The header's object in a file of that format; without one, of the lowest possible."""
        keys = FORMAT_1 if (format_number or self.format) == 1 else FORMAT_1 + FORMAT_2
        values = {key: getattr(self, key) for key in keys}
        return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}

    def check(self, image: tuple[int, int, int]) -> None:
        """Check everything against the (height, width, channels) that the network takes."""
        checks.choice("preprocessing.mode", self.mode, tuple(CHANNELS))
        checks.choice("preprocessing.interpolation", self.interpolation, ("bilinear", "bicubic"))
        checks.boolean("preprocessing.invert", self.invert)
        checks.choice("preprocessing.margin", self.margin, MARGINS)
        if self.pad is not None:
            checks.integer("preprocessing.pad", self.pad, 0, 255)
        for size in self.crop:
            checks.integer("preprocessing.crop", size, 1, CROP_MAX)
        if (*self.crop, CHANNELS[self.mode]) != image:
            raise UserError(
                f"preprocessing gives {checks.shown(self.crop)} pixels of mode {self.mode},"
                f" the network takes (height, width, channels) {image}"
            )
        self._check_resize()

    def _check_resize(self) -> None:
        """Refuse a size below the crop where nothing is padded."""
        name, padded = "preprocessing.resize", self.pad is not None
        if isinstance(self.resize, tuple):
            if len(self.resize) != 2:
                raise UserError(
                    f"{name} must be a number or [height, width], not {checks.shown(self.resize)}"
                )
            for size, least in zip(self.resize, self.crop, strict=True):
                checks.integer(name, size, 1 if padded else least, RESIZE_MAX)
        elif self.resize is not None:
            checks.integer(name, self.resize, 1 if padded else min(self.crop), RESIZE_MAX)
