"""From images to pixels, as timm's evaluation transform does."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data.transforms_factory import create_transform

from boards.host.pictures import prepare
from nas.importer.options import ImportOptions
from nas.importer.pixels import from_timm, statistics
from rtl.errors import UserError


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
