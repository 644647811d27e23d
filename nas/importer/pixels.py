"""From a source's configuration to the engine's preprocessing."""

from collections.abc import Mapping
from math import floor
from typing import Any

import torch
from torch import Tensor

from nas.importer.options import ImportOptions
from rtl.errors import UserError
from rtl.model import Preprocessing

INTERPOLATIONS = ("bilinear", "bicubic")


def statistics(
    name: str,
    options: ImportOptions,
    known: tuple[tuple[float, ...], tuple[float, ...]] | None,
    channels: int,
) -> tuple[Tensor, Tensor]:
    """Return mean and std, (channels,) float64 each: from the options, or the source's own.

    Raises
    ------
    UserError
        If neither says them, or says another number of channels.
    """
    given = (options.mean, options.std) if options.mean and options.std else known
    if given is None:
        raise UserError(
            f"{name} does not say how its pixels were normalised: give --mean and --std (of pixels"
            " from 0 to 1)"
        )
    if {len(each) for each in given} - {1, channels}:
        raise UserError(
            f"{name} takes {channels} channels, but mean and std are of {len(given[0])}: give"
            " --mean and --std"
        )
    mean, std = (torch.tensor(each, dtype=torch.float64).expand(channels).clone() for each in given)
    return mean, std


def from_timm(name: str, config: Mapping[str, Any], image: tuple[int, int, int]) -> Preprocessing:
    """Return the steps of timm's evaluation transform.

    Parameters
    ----------
    name : str
        Named in errors.
    config : mapping
        ``pretrained_cfg``: ``crop_pct``, ``crop_mode``, ``interpolation``.
    image : (height, width, channels)

    Raises
    ------
    UserError
        If the format has no counterpart.
    """
    height, width, channels = image
    share = config.get("crop_pct") or 0.875  # timm's default
    scaled = (floor(height / share), floor(width / share))
    mode = config.get("crop_mode") or "center"
    interpolation = config.get("interpolation") or "bilinear"
    if interpolation not in INTERPOLATIONS:
        raise UserError(
            f"{name}: interpolation '{interpolation}' is none of {', '.join(INTERPOLATIONS)}"
        )
    if mode not in ("center", "squash") or (mode == "center" and height != width):
        raise UserError(f"{name}: crop mode '{mode}' of {height} x {width} pixels is not supported")
    return Preprocessing(
        crop=(height, width),
        mode="RGB" if channels == 3 else "L",
        resize=scaled if mode == "squash" else scaled[0],
        interpolation=interpolation,
        margin="even",
    )
