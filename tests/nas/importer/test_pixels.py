"""From images to pixels, as timm's evaluation transform and image processors do."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data.transforms_factory import create_transform

from boards.host.pictures import prepare
from nas.importer.options import ImportOptions
from nas.importer.pixels import crop_of, from_timm, from_transformers, known_to, statistics
from rtl.errors import UserError
from rtl.model import Preprocessing


@pytest.mark.parametrize("size", [(500, 375), (640, 481), (331, 500), (52, 49)])
@pytest.mark.parametrize("crop_mode", ["center", "squash"])
@pytest.mark.parametrize("crop_pct, interpolation", [(0.875, "bicubic"), (1.0, "bilinear")])
def test_pixels_are_timms_to_the_byte(size, crop_mode, crop_pct, interpolation):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8))
    config = {"crop_pct": crop_pct, "crop_mode": crop_mode, "interpolation": interpolation}
    found = prepare(image, from_timm("model", config, (49, 49, 3)), (49, 49, 3))
    transform: Any = create_transform(
        (3, 49, 49), mean=(0, 0, 0), std=(1, 1, 1), is_training=False, **config
    )
    expected = (torch.as_tensor(transform(image)) * 255).round().byte().permute(1, 2, 0)
    assert np.array_equal(found, expected.numpy())


@pytest.mark.parametrize(
    "config, image, message",
    [
        ({"crop_mode": "border"}, (8, 8, 3), "crop mode 'border' of 8 x 8 pixels is not supported"),
        ({}, (8, 16, 3), "crop mode 'center' of 8 x 16 pixels is not supported"),
        ({"interpolation": "lanczos"}, (8, 8, 3), "'lanczos' is none of bilinear, bicubic"),
    ],
)
def test_steps_without_counterpart(config, image, message):
    with pytest.raises(UserError, match=f"model:? .*{message}"):
        from_timm("model", config, image)


def test_options_come_before_the_sources_own_statistics():
    options = ImportOptions(mean=(0.1,), std=(0.2,))
    mean, std = statistics("model", options, ((0.5,) * 3, (0.5,) * 3), 3)
    assert (mean.tolist(), std.tolist()) == ([0.1] * 3, [0.2] * 3)
    with pytest.raises(UserError, match=r"model does not say how its pixels were normalised"):
        statistics("model", ImportOptions(), None, 3)


SQUARE = {"height": 224, "width": 224}


@pytest.mark.parametrize(
    ("kind", "processor", "resize", "interpolation"),
    [
        ("vit", {"size": SQUARE, "resample": 2}, (224, 224), "bilinear"),
        ("vit", {"size": 224, "resample": 3}, (224, 224), "bicubic"),
        ("deit", {"size": 256, "crop_size": 224, "do_center_crop": True}, (256, 256), "bilinear"),
        ("clip", {"size": 224, "crop_size": 224, "resample": 3}, 224, "bicubic"),
        ("clip", {"size": {"shortest_edge": 256}, "crop_size": SQUARE}, 256, "bilinear"),
        ("vit", {"size": SQUARE, "do_resize": False, "crop_size": SQUARE}, None, "bilinear"),
        (
            "vit",
            {"size": SQUARE, "crop_size": 100, "do_center_crop": False},
            (224, 224),
            "bilinear",
        ),
        ("vit", None, 224, "bilinear"),
    ],
)
def test_image_processors(kind, processor, resize, interpolation):
    """Old ones have one number, which is of both sides, or of the shorter one with CLIP."""
    found = from_transformers("net", processor, kind, (224, 224, 3))
    assert found == Preprocessing((224, 224), "RGB", resize, interpolation)
    assert crop_of(processor, kind) in (224, None)


def test_image_processors_for_another_image_size():
    processor = {"size": {"shortest_edge": 256}, "crop_size": SQUARE, "resample": 3}
    found = from_transformers("net", processor, "dinov2", (112, 112, 1))
    assert found == Preprocessing((112, 112), "L", 128, "bicubic")
    assert (crop_of(processor, "dinov2"), crop_of(None, "dinov2")) == (224, None)


@pytest.mark.parametrize(
    ("processor", "message"),
    [
        ({"size": SQUARE, "resample": 1}, "resampling 1 is neither bilinear"),
        ({"size": {"height": 224, "width": 200}}, "crops of 224 x 200 pixels are not supported"),
    ],
)
def test_image_processors_without_a_counterpart(processor, message):
    with pytest.raises(UserError, match=f"net: {message}"):
        from_transformers("net", processor, "vit", (224, 224, 3))


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        (None, None),
        ({}, None),
        ({"image_mean": [0.5], "image_std": [0.25]}, ((0.5,), (0.25,))),
        ({"do_normalize": False}, ((0.0,), (1.0,))),
        ({"do_rescale": False, "image_mean": [51.0], "image_std": [25.5]}, ((0.2,), (0.1,))),
        ({"rescale_factor": 2 / 255, "image_mean": [1.0], "image_std": [1.0]}, ((0.5,), (0.5,))),
    ],
)
def test_statistics_of_image_processors(processor, expected):
    assert known_to(processor) == expected
