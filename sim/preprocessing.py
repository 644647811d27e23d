"""From a picture to the network's pixels: one function for trainer, golden model and host."""

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from rtl.errors import UserError
from rtl.model.parts import CHANNELS, Preprocessing

INTERPOLATION = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
RESIZED_PIXELS_MAX = 1 << 26
# Pillow would clip these to 0 ... 255 instead of scaling them.
DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
# What Pillow's decoders raise on damaged files.
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def prepare(
    image: Image.Image | Path | str, preprocessing: Preprocessing, shape: tuple[int, int, int]
) -> np.ndarray:
    """Convert, resize, crop and invert a picture as the integer model asks.

    Parameters
    ----------
    image : PIL.Image.Image, Path or str
    preprocessing : Preprocessing
    shape : tuple of int
        (height, width, channels) that the network takes; ``preprocessing`` must give it.

    Returns
    -------
    pixels : (height, width, channels) uint8

    Raises
    ------
    UserError
        If the picture cannot be read, has more than 8 bits per channel, or is smaller than the
        crop where nothing is resized.
    """
    preprocessing.check(shape)
    name = str(image) if isinstance(image, Path | str) else "image"
    picture = image if isinstance(image, Image.Image) else _open(Path(image))
    if picture.mode in DEEP_MODES:
        raise UserError(
            f"{name}: pixel mode {picture.mode} has more than 8 bits per channel: save it with 8"
        )
    try:
        picture = _converted(picture, preprocessing.mode)
    except UNREADABLE as error:
        raise UserError(f"{name}: cannot be read: {error}") from None
    picture = _cropped(_resized(picture, preprocessing, name), preprocessing.crop, name)
    pixels = np.asarray(picture).reshape(*preprocessing.crop, CHANNELS[preprocessing.mode])
    return 255 - pixels if preprocessing.invert else pixels.copy()


def _open(path: Path) -> Image.Image:
    if not path.is_file():
        raise UserError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with path.open("rb") as file:
                picture = Image.open(file)
                picture.load()
        except UNREADABLE as error:
            reason = "not a picture" if isinstance(error, Image.UnidentifiedImageError) else error
            raise UserError(f"{path}: cannot be read: {reason}") from None
    return picture


def _converted(picture: Image.Image, mode: str) -> Image.Image:
    if picture.mode == "P":  # a palette may hold transparency: resolve it, then drop it
        picture = picture.convert("RGBA")
    return picture.convert(mode)


def _resized(picture: Image.Image, preprocessing: Preprocessing, name: str) -> Image.Image:
    """Bring the shorter side to ``resize`` pixels, the longer one in proportion, rounded down."""
    if preprocessing.resize is None or min(picture.size) == preprocessing.resize:
        return picture
    shorter = min(picture.size)
    width, height = (side * preprocessing.resize // shorter for side in picture.size)
    if width * height > RESIZED_PIXELS_MAX:
        raise UserError(
            f"{name}: {picture.width}x{picture.height} pixels would be resized to {width}x{height}:"
            f" the limit is {RESIZED_PIXELS_MAX} pixels"
        )
    return picture.resize((width, height), INTERPOLATION[preprocessing.interpolation])


def _cropped(picture: Image.Image, crop: tuple[int, int], name: str) -> Image.Image:
    """Cut (height, width) from the centre; an odd margin leaves the extra pixel below or right."""
    height, width = crop
    if picture.height < height or picture.width < width:
        raise UserError(
            f"{name}: {picture.height}x{picture.width} pixels (height x width) are fewer than the"
            f" {height}x{width} that the network takes"
        )
    top, left = (picture.height - height) // 2, (picture.width - width) // 2
    return picture.crop((left, top, left + width, top + height))
