"""Size and channels that fit a folder's images; reading them into memory."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from boards.host.pictures import UNREADABLE
from nas.data import Images, spread
from nas.folder import read_prepared
from rtl.errors import UserError
from rtl.model import Preprocessing

LOOKED_AT = 512  # images whose headers are read
GREY = ("1", "L", "LA", "La", "I;16")
LARGEST, LARGE = 224, 112  # pixels: the largest image by default, and where patches become
LARGE_PATCH = 16
PATCHES = 8  # patches along a side of smaller images
BATCH = 64


@dataclass(frozen=True)
class Look:
    """Size and channels of images.

    Parameters
    ----------
    size : int
        Height and width in pixels.
    patch : int
    mode : str
        ``"L"`` or ``"RGB"``.
    """

    size: int
    patch: int
    mode: str

    @property
    def image(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.size, self.size, 1 if self.mode == "L" else 3

    @property
    def preprocessing(self) -> Preprocessing:
        """Steps from a file to pixels: the shorter side is resized, the centre is cut out."""
        return Preprocessing(crop=(self.size, self.size), mode=self.mode, resize=self.size)


def look_at(files: Sequence[Path], size: int | None = None, patch: int | None = None) -> Look:
    """Choose what fits images, by their headers.

    Parameters
    ----------
    files : sequence of Path
    size : int, optional
        Height and width; by default the most frequent shorter side, at most 224, in whole patches.
    patch : int, optional
        By default a side is eight patches or so, or as many of 16 pixels in large images.

    Raises
    ------
    UserError
        If patches do not fit the size.
    """
    looked_at = [files[place] for place in spread(len(files), LOOKED_AT)]
    heads = [head for file in looked_at if (head := _head(file))]
    if not heads:
        raise UserError(f"{files[0].parent}: none of the images can be read")
    mode = "L" if all(mode in GREY for mode, _ in heads) else "RGB"
    if size is None:
        side, _ = Counter(side for _, side in heads).most_common(1)[0]
        side = min(side, LARGEST)
        patch = patch or _usual_patch(side)
        size = max(1, side // patch) * patch
    patch = patch or _usual_patch(size)
    if size % patch:
        raise UserError(f"--image-size {size} must be a multiple of --patch {patch}")
    return Look(size, patch, mode)


def read_pixels(
    files: Sequence[Path],
    look: Look,
    workers: int = 0,
    progress: Callable[[int], None] = lambda count: None,
) -> tuple[Tensor, dict[int, UserError]]:
    """Prepare images as the integer model will.

    Parameters
    ----------
    files : sequence of Path
    look : Look
    workers : int
        Processes that read ahead; none for few images.
    progress : callable
        Is told of every batch how many images it has.

    Returns
    -------
    pixels : (readable files, height, width, channels) uint8
    problems : dict of int to UserError
        What is wrong with the others, by their places.
    """
    pixels = torch.empty((len(files), *look.image), dtype=torch.uint8)
    problems: dict[int, UserError] = {}
    place = 0
    for batch in read_prepared(files, look.preprocessing, look.image, BATCH, workers):
        for each in batch:
            if isinstance(each, UserError):
                problems[place] = each
            else:
                pixels[place] = torch.from_numpy(each)
            place += 1
        progress(len(batch))
    readable = [place for place in range(len(files)) if place not in problems]
    return pixels[readable] if problems else pixels, problems


def statistics(images: Images) -> tuple[tuple[int, ...], float]:
    """Return the mean code of each channel, and the standard deviation around these."""
    count, sums = 0, torch.zeros(2, 1, dtype=torch.float64)
    for batch in images.batches(BATCH):
        values = batch.pixels.double().flatten(0, -2)  # (pixels, channels)
        count += len(values)
        sums = sums + torch.stack([values.sum(0), values.square().sum(0)])
    mean = (sums[0] / count).round()
    variance = (sums[1] / count - 2 * mean * sums[0] / count + mean.square()).mean()
    return tuple(int(each) for each in mean), round(max(1.0, float(variance.sqrt())), 3)


def _usual_patch(side: int) -> int:
    return LARGE_PATCH if side >= LARGE else max(1, round(side / PATCHES))


def _head(file: Path) -> tuple[str, int] | None:
    """Read an image's mode and shorter side; None where it cannot be read."""
    try:
        with Image.open(file) as image:
            return image.mode, min(image.size)
    except UNREADABLE:
        return None
