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
RESAMPLES = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers


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


def known_to(
    processor: Mapping[str, Any] | None,
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return mean and std of a ``preprocessor_config.json``, of pixels from 0 to 1."""
    if processor is None:
        return None
    # The library subtracts and divides behind rescaling, which is by 1 / 255 unless it is said.
    scale = 255.0
    if processor.get("do_rescale", True):
        scale *= processor.get("rescale_factor", 1 / 255)
    if not processor.get("do_normalize", True):
        return (0.0,), (1 / scale,)
    mean, std = processor.get("image_mean"), processor.get("image_std")
    if not mean or not std:
        return None
    return tuple(x / scale for x in mean), tuple(x / scale for x in std)


def from_transformers(
    name: str, processor: Mapping[str, Any] | None, kind: str, image: tuple[int, int, int]
) -> Preprocessing:
    """Return the steps of an image processor of the transformers library.

    Those of its processors on Pillow, whose bytes these are.

    Parameters
    ----------
    name : str
        Named in errors.
    processor : mapping, optional
        ``preprocessor_config.json``; without one, the shorter side is scaled to the image.
    kind : str
        ``model_type``: CLIP's and DINOv2's sizes are of the shorter side where they are one number.
    image : (height, width, channels)
        If it is another size than the processor's, its sizes are scaled.

    Raises
    ------
    UserError
        If the format has no counterpart.
    """
    steps = processor or {"size": {"shortest_edge": image[0]}}
    edge, pair, crop = _sizes(steps, kind)
    own = crop or pair or ((edge, edge) if edge else image[:2])
    if own[0] != own[1]:
        raise UserError(f"{name}: crops of {own[0]} x {own[1]} pixels are not supported")
    share = image[0] / own[0]
    number = steps.get("resample", 2)
    if (edge or pair) and number not in RESAMPLES:
        raise UserError(f"{name}: resampling {number} is neither bilinear (2) nor bicubic (3)")
    resize: int | tuple[int, int] | None = None
    if edge:
        resize = round(edge * share)
    elif pair:
        resize = (round(pair[0] * share), round(pair[1] * share))
    return Preprocessing(
        crop=image[:2],
        mode="RGB" if image[2] == 3 else "L",
        resize=resize,
        interpolation=RESAMPLES.get(number, "bilinear"),
    )


def crop_of(processor: Mapping[str, Any] | None, kind: str) -> int | None:
    """Return the height in pixels of what an image processor gives; None where it does not say."""
    edge, pair, crop = _sizes(processor or {}, kind)
    return (crop or pair or (edge,))[0]


def _sizes(
    processor: Mapping[str, Any], kind: str
) -> tuple[int | None, tuple[int, int] | None, tuple[int, int] | None]:
    """Return the shorter side after resizing, or both sides; and those of the crop."""
    size = processor.get("size") if processor.get("do_resize", True) else None
    crop = _both(processor.get("crop_size"))
    if not processor.get("do_center_crop", crop is not None):
        crop = None
    edge = size.get("shortest_edge") if isinstance(size, Mapping) else None
    if isinstance(size, int) and kind.startswith(("clip", "dinov2")):
        edge = size
    return edge, None if edge else _both(size), crop


def _both(size: Any) -> tuple[int, int] | None:
    """Return height and width of a size, which may be one number."""
    if isinstance(size, Mapping):
        return (size["height"], size["width"]) if {"height", "width"} <= size.keys() else None
    return (size, size) if isinstance(size, int) else None
