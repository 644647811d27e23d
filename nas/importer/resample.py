"""A network for images of another size than it was saved for."""

from dataclasses import replace
from typing import Any

import torch
from timm.layers.pos_embed import resample_abs_pos_embed

from nas.importer.network import FloatNetwork
from rtl.errors import UserError
from rtl.model import Preprocessing


def at_size(network: FloatNetwork, size: int, *, antialias: bool = True) -> FloatNetwork:
    """Resample the positions of a network to images of ``size`` x ``size`` pixels.

    Bicubic, with antialiasing as timm does it. What follows the features in the source was made
    for the old grid, and is left out.

    Raises
    ------
    UserError
        If patches do not divide the size.
    """
    patch, (height, width, channels) = network.patch, network.image
    if size % patch:
        near = max(size // patch, 1) * patch
        raise UserError(f"--image-size {size} is no multiple of the patch size {patch}: try {near}")
    old, new = [height // patch, width // patch], [size // patch] * 2
    grid = network.position[None, : network.patches]
    resampled = resample_abs_pos_embed(grid, new, old, num_prefix_tokens=0, antialias=antialias)[0]
    others = network.position[network.patches :]
    notes = [f"positions resampled from {old[0]} x {old[1]} to {new[0]} x {new[1]} patches"]
    if network.host:
        notes.append("what follows the features is left out: it was made for the other size")
    source: dict[str, Any] = network.source
    return replace(
        network,
        image=(size, size, channels),
        position=torch.cat([resampled.to(network.position), others]),
        preprocessing=_scaled(network.preprocessing, size),
        host=None,
        source=source | {"notes": [*source.get("notes", ()), *notes]},
    )


def _scaled(steps: Preprocessing, size: int) -> Preprocessing:
    """Resize and crop in the same proportions."""
    resize, height = steps.resize, steps.crop[0]
    if isinstance(resize, int):
        resize = max(size, round(resize * size / height))
    elif resize is not None:
        resize = (size, size)
    return replace(steps, crop=(size, size), resize=resize)
