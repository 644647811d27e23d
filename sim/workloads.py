"""Networks and images to measure an engine with: DeiT shapes with random weights, photographs."""

from collections.abc import Sequence

import numpy as np

from rtl.config import EngineConfig
from rtl.errors import UserError
from rtl.model import IntegerModel
from rtl.model.keep import parse_keep
from rtl.model.shape import NetworkShape, plain_vit
from sim.random_model import random_model

DEIT = {"deit_tiny": 3, "deit_small": 6, "deit_base": 12}
"""Heads of 64 dimensions by name; the width follows."""

BLOCKS, CLASSES, PIXELS, PATCH, HEAD_DIM = 12, 1000, 224, 16, 64
BITS8_LAYERS = (
    "q",
    "k",
    "v",
    "proj",
    "fc1",
    "fc2",
    "head",
)  # where a fraction of 8-bit rows applies


def deit(
    name: str,
    engine: EngineConfig,
    *,
    bits8: float = 0.0,
    seed: int = 0,
    keep: str | None = None,
) -> IntegerModel:
    """Make a network of a DeiT's shape for an engine, with random weights in realistic ranges.

    Parameters
    ----------
    name : str
        ``deit_tiny``, ``deit_small`` or ``deit_base``.
    engine : EngineConfig
        Gives ``act_bits`` and the rows of a tile.
    bits8 : float
        Fraction of 8-bit row tiles in each matrix, rounded up to whole tiles; the patch embedding
        has none.
    seed : int
    keep : str, optional
        Patches that stay behind blocks, as :func:`rtl.model.keep.parse_keep` reads them.

    Raises
    ------
    UserError
        If there is no such shape, ``bits8`` is not a fraction, or the patches cannot stay.
    """
    if name not in DEIT:
        raise UserError(f"unknown model {name!r}: choose one of {', '.join(DEIT)}, or a file")
    if not 0 <= bits8 <= 1:
        raise UserError(f"the fraction of 8-bit rows must be from 0 to 1, not {bits8:g}")
    heads = DEIT[name]
    width = heads * HEAD_DIM
    plain = plain_vit(width=width, heads=heads, row_granularity=engine.row_lanes)
    return random_model(
        image=(PIXELS, PIXELS, 3),
        patch=PATCH,
        width=width,
        head_dim=HEAD_DIM,
        blocks=[(heads, 4 * width)] * BLOCKS,
        classes=CLASSES,
        act_bits=engine.act_bits,
        row_granularity=engine.row_lanes,
        bits8_fraction=dict.fromkeys(BITS8_LAYERS, bits8),
        seed=seed,
        keep=None if keep is None else parse_keep(keep, plain),
    )


def bits8_fraction(shape: NetworkShape) -> float:
    """Share of 8-bit tiles among the row tiles of the matrices that :data:`BITS8_LAYERS` names."""
    flags = [flag for block in shape.blocks for _, layer in block.bits8 for flag in layer]
    return float(np.mean([*flags, *shape.head_bits8]))


def photographs(model: IntegerModel, count: int) -> np.ndarray:
    """Cut images from scikit-learn's two sample photographs, each another part.

    Returns
    -------
    (count, height, width, channels) uint8
    """
    from PIL import Image
    from sklearn.datasets import load_sample_images

    height, width, channels = model.image
    originals = load_sample_images().images
    images = []
    for index in range(count):
        image = Image.fromarray(originals[index % len(originals)])
        image = image.convert("L" if channels == 1 else "RGB")
        scale = 1.25 * max(height / image.height, width / image.width)
        size = round(image.width * scale), round(image.height * scale)
        image = image.resize(size, Image.Resampling.BICUBIC)
        left, top = _corner((size[0] - width, size[1] - height), index // len(originals))
        cut = image.crop((left, top, left + width, top + height))
        images.append(np.asarray(cut).reshape(height, width, channels))
    return np.stack(images)


def _corner(room: Sequence[int], index: int) -> tuple[int, int]:
    """Return where a cut begins: a low-discrepancy sequence spreads them over the room."""
    steps = (0.7548776662466927, 0.5698402909980532)  # of the plastic number: R. Roberts, R2
    across, down = ((0.5 + step * index) % 1 for step in steps)
    return int(across * (room[0] + 1)), int(down * (room[1] + 1))
