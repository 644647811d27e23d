"""From an image to the network's pixels: one function for trainer, golden model and host.

Source: docs/format.md, section Preprocessing.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable, Sequence
from math import floor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from boards.host.errors import UserError
from boards.host.preprocessing import CHANNELS, Preprocessing

INTERPOLATION = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
FORMATS = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
}
"""File formats that are read: those whose bits per channel are known before Pillow reduces them.
With the endings of their names, by which images are found in a folder."""
ENDINGS = tuple(ending for endings in FORMATS.values() for ending in endings)
WHITE = (255, 255, 255)  # the ground of what is transparent
ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
SHOWN = 20  # files that an error names
RESIZED_PIXELS_MAX = 1 << 26
# Pillow would clip these to 0 ... 255 instead of scaling them.
DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
TIFF_BITS_PER_SAMPLE = 258
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
    """Turn upright, convert, resize, pad, crop and invert an image as the integer model asks.

    Parameters
    ----------
    image : PIL.Image.Image, Path or str
        An image, or the path of a file; of several frames, the first one counts.
    preprocessing : Preprocessing
    shape : tuple of int
        (height, width, channels) that the network takes; ``preprocessing`` must give it.

    Returns
    -------
    pixels : (height, width, channels) uint8

    Raises
    ------
    UserError
        If the image cannot be read, is of a format that is not in :data:`FORMATS`, has more than
        8 bits per channel, or is smaller than the crop where nothing is padded.
    """
    preprocessing.check(shape)
    name = str(image) if isinstance(image, (Path, str)) else "image"
    converted = open_picture(image, preprocessing.mode)
    cropped = _cropped(_resized(converted, preprocessing, name), preprocessing, name)
    pixels = np.asarray(cropped).reshape(*preprocessing.crop, CHANNELS[preprocessing.mode])
    return 255 - pixels if preprocessing.invert else pixels.copy()


def open_picture(image: Image.Image | Path | str, mode: str) -> Image.Image:
    """Open an image, turn it upright, and convert it.

    Parameters
    ----------
    image : PIL.Image.Image, Path or str
    mode : str
        ``"L"`` or ``"RGB"``.

    Raises
    ------
    UserError
        If it cannot be read, is of a format that is not in :data:`FORMATS`, or has more than 8 bits
        per channel.
    """
    name = str(image) if isinstance(image, (Path, str)) else "image"
    source = _opened(Path(image)) if isinstance(image, (Path, str)) else image
    _require_eight_bits(source, name)
    try:
        return _converted(_upright(source), mode)
    except UNREADABLE as error:
        raise UserError(f"{name}: cannot be read: {error}") from None


def prepare_all(
    files: Sequence[Path | str],
    preprocessing: Preprocessing,
    shape: tuple[int, int, int],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """Prepare the images of several files.

    Parameters
    ----------
    files : sequence of Path or str
        At least one.
    preprocessing : Preprocessing
    shape : tuple of int
        (height, width, channels).
    progress : callable
        Is told before each file how many are done, and of how many.

    Returns
    -------
    pixels : (files, height, width, channels) uint8

    Raises
    ------
    UserError
        If some cannot be read: names them all at once.
    """
    pixels, problems = [], []
    for number, file in enumerate(files):
        progress(number, len(files))
        try:
            pixels.append(prepare(file, preprocessing, shape))
        except UserError as error:
            problems.append(error)
    if problems:
        raise one_error(problems)
    return np.stack(pixels)


def one_error(problems: Sequence[UserError]) -> UserError:
    """Make one error, in one line, of those of several images."""
    if len(problems) == 1:
        return problems[0]
    shown = "; ".join(map(str, problems[:SHOWN]))
    more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return UserError(f"{len(problems)} images are of no use: {shown}{more}")


def _opened(path: Path) -> Image.Image:
    """Open and decode a file."""
    if not path.is_file():
        raise UserError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with path.open("rb") as file:
                image = Image.open(file, formats=tuple(FORMATS))
                _require_eight_bits(image, str(path))  # decoding hides how many there were
                image.load()
                if image.format == "PNG":  # Pillow doesn't mind if its end is missing
                    file.seek(0)
                    Image.open(file, formats=("PNG",)).verify()
        except Image.UnidentifiedImageError:
            known = ", ".join(FORMATS)
            raise UserError(f"{path}: cannot be read: not an image of {known}") from None
        except UNREADABLE as error:
            raise UserError(f"{path}: cannot be read: {error}") from None
    return image


def _require_eight_bits(image: Image.Image, name: str) -> None:
    """Refuse more than 8 bits per channel.

    Pillow's mode does not tell: it gives 16-bit RGB as 8-bit RGB, without a word.
    """
    if image.mode in DEEP_MODES:
        raise UserError(
            f"{name}: pixel mode {image.mode} has more than 8 bits per channel: save it with 8"
        )
    bits = _file_bits(image)
    if bits > 8:
        raise UserError(f"{name}: {bits} bits per channel, at most 8 are read: save it with 8")


def _file_bits(image: Image.Image) -> int:
    """Bits per channel of a file that is open and not yet decoded; 8 where nothing says more."""
    if image.format == "TIFF":
        return max(image.tag_v2.get(TIFF_BITS_PER_SAMPLE, (1,)))
    for tile in getattr(image, "tile", ()):
        settings = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        if any(isinstance(setting, str) and ";16" in setting for setting in settings):
            return 16
        if tile.codec_name.startswith("ppm") and settings[-1] > 255:  # its largest value
            return settings[-1].bit_length()
    return 8


def _upright(image: Image.Image) -> Image.Image:
    """Turn and mirror as EXIF's orientation says; EXIF that cannot be read says nothing."""
    try:
        return ImageOps.exif_transpose(image)
    except (*UNREADABLE, KeyError, TypeError):
        return image


def _converted(image: Image.Image, mode: str) -> Image.Image:
    """Convert to the mode, with a white ground behind what is transparent."""
    if image.mode in ("P", *ALPHA_MODES) or "transparency" in image.info:
        whole = image.convert("RGBA")
        ground = Image.new("RGB", image.size, WHITE)
        image = Image.composite(whole.convert("RGB"), ground, whole.getchannel("A"))
    return image.convert(mode)


def _resized(image: Image.Image, preprocessing: Preprocessing, name: str) -> Image.Image:
    """Scale to ``resize``: both sides, or the shorter one, the longer one in proportion."""
    width, height = _resized_size(image, preprocessing.resize)
    if (width, height) == image.size:
        return image
    if width * height > RESIZED_PIXELS_MAX:
        raise UserError(
            f"{name}: {image.width}x{image.height} pixels would be resized to {width}x{height}:"
            f" the limit is {RESIZED_PIXELS_MAX} pixels"
        )
    return image.resize((width, height), INTERPOLATION[preprocessing.interpolation])


def _resized_size(image: Image.Image, resize: int | tuple[int, int] | None) -> tuple[int, int]:
    """(width, height) after resizing; proportions are rounded down."""
    if resize is None:
        return image.size
    if isinstance(resize, tuple):
        return resize[1], resize[0]
    shorter = min(image.size)
    return image.width * resize // shorter, image.height * resize // shorter


def _cropped(image: Image.Image, preprocessing: Preprocessing, name: str) -> Image.Image:
    """Cut (height, width) from the centre, of an image that is padded where it is smaller."""
    height, width = preprocessing.crop
    if image.height < height or image.width < width:
        if preprocessing.pad is None:
            raise UserError(
                f"{name}: {image.height}x{image.width} pixels (height x width) are fewer than the"
                f" {height}x{width} that the network takes"
            )
        image = _padded(image, preprocessing.crop, preprocessing.pad)
    # Python rounds halves to even, as torchvision does.
    half = round if preprocessing.margin == "even" else floor
    top, left = half((image.height - height) / 2), half((image.width - width) / 2)
    return image.crop((left, top, left + width, top + height))


def _padded(image: Image.Image, crop: tuple[int, int], value: int) -> Image.Image:
    """Put an image on a ground of at least (height, width); the larger margin is below or right."""
    height, width = max(image.height, crop[0]), max(image.width, crop[1])
    ground = Image.new(image.mode, (width, height), (value,) * CHANNELS[image.mode])
    ground.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return ground
