"""Preprocessing of format 2 gives the bytes of timm's evaluation transform."""

from math import floor

import numpy as np
import pytest
from PIL import Image
from timm.data.transforms_factory import create_transform

from boards.host.pictures import prepare
from rtl.model import Preprocessing
from sim.random_model import random_images

SIZES = [(500, 375), (640, 481), (331, 500), (224, 225), (60, 97), (37, 31)]
"""(width, height): the usual, odd ones, those that are not resized, those below the crop."""


def picture(width, height):
    return Image.fromarray(random_images((height, width, 3), 1, seed=width)[0])


def timm_pixels(image, size, crop_pct, crop_mode, interpolation):
    """All steps before the last two, which make a tensor and normalise it."""
    transform = create_transform(
        (3, *size), is_training=False, crop_pct=crop_pct, crop_mode=crop_mode,
        interpolation=interpolation,
    )  # fmt: skip
    *steps, to_tensor, normalize = transform.transforms
    assert [type(s).__name__ for s in (to_tensor, normalize)] == ["MaybeToTensor", "Normalize"]
    for step in steps:
        image = step(image)
    return np.asarray(image)


def recipe(size, crop_pct, crop_mode, interpolation):
    scaled = tuple(floor(side / crop_pct) for side in size)
    return Preprocessing(
        crop=size, mode="RGB", resize=scaled if crop_mode == "squash" else scaled[0],
        interpolation=interpolation, margin="even", pad=0,
    )  # fmt: skip


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("crop_mode", ["center", "squash"])
@pytest.mark.parametrize("crop_pct", [0.875, 0.95, 1.13])
@pytest.mark.parametrize("width, height", SIZES)
def test_equal_bytes(width, height, crop_pct, crop_mode, interpolation):
    image, options = picture(width, height), (crop_pct, crop_mode, interpolation)
    expected = timm_pixels(image, (224, 224), *options)
    found = prepare(image, recipe((224, 224), *options), (224, 224, 3))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", [(112, 224), (210, 98)])
@pytest.mark.parametrize("width, height", SIZES)
def test_squash_to_images_that_are_no_squares(width, height, size):
    image, options = picture(width, height), (0.9, "squash", "bicubic")
    expected = timm_pixels(image, size, *options)
    np.testing.assert_array_equal(prepare(image, recipe(size, *options), (*size, 3)), expected)


@pytest.mark.parametrize(("height", "width"), [(223, 300), (301, 200), (99, 101), (225, 229)])
def test_pictures_that_are_not_resized(height, width):
    """Padding on one side or both, odd and even margins."""
    from torchvision.transforms import CenterCrop

    image = picture(width, height)
    plain = Preprocessing(crop=(224, 224), mode="RGB", margin="even", pad=0)
    expected = np.asarray(CenterCrop(224)(image))
    np.testing.assert_array_equal(prepare(image, plain, (224, 224, 3)), expected)
