"""Integer models with random weights whose codes use their ranges as a trained network's do.

All features of the file occur: signed and unsigned codes, channel exponents, 4- and 8-bit row
tiles; and, where they are asked for, the mean, tokens as output, registers, two GELU tables, a
LayerNorm in front of the blocks.
"""

from collections.abc import Mapping, Sequence
from math import ceil, sqrt

import numpy as np

from rtl.model import IntegerModel, Preprocessing
from sim.random_layers import Bits8, LayerMaker

RESIDUAL_RMS = 3000.0  # at the end of the network, of int16
CALIBRATION_TOKENS = 400


def random_model(
    image: tuple[int, int, int] = (28, 28, 1),
    patch: int = 7,
    width: int = 64,
    head_dim: int = 16,
    blocks: Sequence[tuple[int, int]] = ((4, 256),) * 4,
    classes: int = 10,
    act_bits: int = 6,
    row_granularity: int = 16,
    bits8_fraction: Bits8 = 0.25,
    seed: int = 0,
    pool: str = "token",
    class_token: bool = True,
    registers: int = 0,
    output: str = "logits",
    two_tables: bool = False,
    front: bool = False,
    keep: Mapping[int, int] | None = None,
) -> IntegerModel:
    """Make a model with random weights.

    Parameters
    ----------
    image : (height, width, channels)
        1 or 3 channels.
    patch, width, head_dim, classes, act_bits, row_granularity : int
    blocks : sequence of (heads, hidden)
    bits8_fraction : float or mapping of str to float
        Fraction of 8-bit row tiles in each matrix, rounded up to whole tiles. With a mapping, by
        layer: ``embed``, ``q``, ``k``, ``v``, ``proj``, ``fc1``, ``fc2``, ``head``, missing ones 0.
    seed : int
        Equal arguments give equal models.
    pool : str
        Input of the head, ``token`` or ``mean``; with output ``tokens`` also ``all``, or
        ``attention``, where the last block pools.
    class_token : bool
        There may be none, except with pool ``token``.
    registers : int
    output : str
        ``logits`` or ``tokens``, which has no use for ``classes``.
    two_tables : bool
        Whether every block whose hidden units take more than one row tile has two GELU tables.
    front : bool
        Whether there are a LayerNorm and a matrix in front of the blocks.
    keep : mapping of int to int, optional
        Patches that remain behind the projection, by block, from 0: ``{3: 143, 6: 107, 9: 71}``.

    Returns
    -------
    IntegerModel
    """
    rng = np.random.default_rng(seed)
    patches = (image[0] // patch) * (image[1] // patch)
    others = registers + class_token
    tokens = patches + others
    images = random_images(image, max(2, ceil(CALIBRATION_TOKENS / tokens)), seed)
    maker = LayerMaker(rng, width, head_dim, act_bits, row_granularity, bits8_fraction, others)

    increment = RESIDUAL_RMS / sqrt(2 * len(blocks) + 1)
    embed, position, residual = maker.embedding(images, patch, tokens, increment)
    before = None
    if front:
        before, residual = maker.front(residual, increment)
    made = []
    for index, (heads, hidden) in enumerate(blocks):
        pools = pool == "attention" and index == len(blocks) - 1
        stay = (keep or {}).get(index)
        block, residual = maker.block(residual, heads, hidden, increment, two_tables, pools, stay)
        made.append(block)
    logits = output == "logits"
    return IntegerModel(
        act_bits=act_bits,
        row_granularity=row_granularity,
        image=image,
        patch=patch,
        width=width,
        head_dim=head_dim,
        embed=embed,
        position=position,
        blocks=tuple(made),
        output=(
            maker.classifier(residual, patches, classes, pool) if logits else maker.features(pool)
        ),
        class_names=tuple(str(i) for i in range(classes)) if logits else (),
        preprocessing=Preprocessing(crop=image[:2], mode="L" if image[2] == 1 else "RGB"),
        producer="sim.random_model",
        info={"seed": seed},
        class_token=class_token,
        registers=registers,
        front=before,
    )


def random_images(image: tuple[int, int, int], count: int, seed: int = 0) -> np.ndarray:
    """Images with structure larger than a pixel: ``(count, height, width, channels)`` uint8."""
    rng = np.random.default_rng([seed, 1])
    height, width, channels = image
    total = np.zeros((count, height, width, channels))
    for size in (1, 3, 7, 15):
        cells = rng.standard_normal((count, -(-height // size), -(-width // size), channels))
        total += cells.repeat(size, 1).repeat(size, 2)[:, :height, :width] * size**0.5
    total += rng.standard_normal((count, 1, 1, channels)) * 2
    return np.clip(128 + 25 * total, 0, 255).astype(np.uint8)
