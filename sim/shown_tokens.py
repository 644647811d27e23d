"""A picture of the patches that a network keeps of its images, as golden chooses them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rtl.errors import UserError
from rtl.files import atomic_write
from rtl.model import IntegerModel
from rtl.model.keep import original_tokens
from sim import golden

ENDING = ".png"
SIDE = 224
"""Least pixels of a panel's shorter side: small images are enlarged."""
MARGIN, CAPTION, FONT = 8, 24, 14  # pixels
WASH, SHARE = (232, 232, 238), 0.8
"""Colour over patches that are dropped, and its share of what is seen."""


def check_file(path: Path, model: IntegerModel) -> None:
    """Refuse a file that is no PNG, and a network that keeps all patches."""
    if path.suffix != ENDING:
        raise UserError(f"--show-tokens {path}: a picture's name ends in {ENDING}")
    if not model.shape.selects:
        raise UserError(
            "--show-tokens: the model keeps all of its patches: give one that selects, such as"
            " nas.quantize --keep writes"
        )


def draw_tokens(
    path: Path, model: IntegerModel, images: np.ndarray, names: Sequence[str] = ()
) -> None:
    """Draw a row for each image: as it is, then behind each block that selects what is left of it.

    Parameters
    ----------
    path : Path
        PNG file; it appears whole or not at all.
    model : IntegerModel
        Some of its blocks keep some patches only.
    images : (images, height, width, channels) uint8
    names : sequence of str
        Captions of the images.
    """
    rows = [[(names[i] if names else "", image)] for i, image in enumerate(images)]
    for row, image in zip(rows, images, strict=True):  # one by one: all tensors take much memory
        row.extend(_panels(model, image))
    scale = -(-SIDE // min(images.shape[1:3]))
    height, width = (scale * size for size in images.shape[1:3])
    across, down = width + MARGIN, height + CAPTION
    size = (len(rows[0]) * across + MARGIN, len(rows) * down + MARGIN)
    sheet = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT)
    for i, row in enumerate(rows):
        for j, (caption, pixels) in enumerate(row):
            x, y = MARGIN + j * across, i * down
            picture = Image.fromarray(pixels if pixels.shape[-1] == 3 else pixels.repeat(3, -1))
            pen.text((x, y + MARGIN // 2), caption, fill="black", font=font)
            sheet.paste(picture.resize((width, height), Image.Resampling.NEAREST), (x, y + CAPTION))
    with atomic_write(path) as file:
        sheet.save(file, format="png")


def kept_patches(model: IntegerModel, image: np.ndarray) -> dict[int, np.ndarray]:
    """Say which patches of an image are left behind each block that selects.

    Returns
    -------
    dict of int to (rows, columns) bool
        By block.
    """
    tensors: dict[str, np.ndarray] = {}
    golden.run(model, image[None], tensors=tensors)
    shape, found = model.shape, {}
    for block, sizes in enumerate(shape.blocks):
        if sizes.keep is not None:
            (tokens,) = original_tokens(tensors, shape, block + 1)
            found[block] = np.isin(np.arange(shape.patches), tokens).reshape(shape.grid)
    return found


def _panels(model: IntegerModel, image: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield captions, and the image with a wash over patches that are dropped."""
    washed = (1 - SHARE) * image + SHARE * np.array(WASH)[: image.shape[-1]]
    for block, left in kept_patches(model, image).items():
        pixels = left.repeat(model.patch, 0).repeat(model.patch, 1)[..., None]
        caption = f"behind block {block}: {left.sum()} of {left.size}"
        yield caption, np.where(pixels, image, washed).astype(np.uint8)
