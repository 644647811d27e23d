"""Pictures changed by timm: functions of a seed, of the size asked for."""

import random

import numpy as np
import pytest
import torch
from PIL import Image

from nas.training.augment import Augmentation
from nas.training.pictures import PictureAugmentation

SHAPE, MEAN, STD = (16, 24, 3), (120, 110, 100), 60.0
ALL = {"crop": 0.3, "policy": "rand-m9-mstd0.5-inc1", "colour": 0.4, "erasing": 1.0}


def picture(width=24, height=16, mode="RGB"):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def changed(seed=1, image=None, shape=SHAPE, mean=MEAN, **how):
    return PictureAugmentation(Augmentation(**how), shape, mean, STD)(image or picture(), seed)


@pytest.mark.parametrize("how", [ALL, *({name: value} for name, value in ALL.items())])
def test_each_is_a_function_of_the_seed(how):
    first = changed(1, **how)
    assert first.shape == SHAPE and first.dtype == np.uint8
    random.random(), np.random.random(), torch.rand(1)
    assert np.array_equal(first, changed(1, **how))
    assert any(not np.array_equal(first, changed(seed, **how)) for seed in range(2, 6))


def test_none_changes_nothing():
    assert np.array_equal(changed(), np.array(picture()))


def test_a_crop_is_of_the_size_asked_for():
    assert changed(image=picture(100, 70), crop=0.1).shape == SHAPE


def test_grey_pictures_stay_grey():
    found = changed(image=picture(30, 30, "L"), shape=(16, 24, 1), mean=(120,), **ALL)
    assert found.shape == (16, 24, 1)


def test_what_is_erased_is_a_rectangle_of_noise():
    before, after = np.array(picture()), changed(erasing=1.0)
    rows, columns = np.nonzero((before != after).any(2))
    inside = after[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert 0.02 * 384 - 16 < inside[..., 0].size < 384 / 3 + 16
    assert np.abs(inside.mean((0, 1)) - MEAN).max() < 4 * STD / inside[..., 0].size ** 0.5


def test_generators_of_the_process_stay_as_they_are():
    def drawn():
        return random.random(), np.random.random(), float(torch.rand(1))

    random.seed(3), np.random.seed(3), torch.manual_seed(3)
    expected = drawn()
    random.seed(3), np.random.seed(3), torch.manual_seed(3)
    changed(**ALL)
    assert drawn() == expected


def test_changes_that_pillow_refuses_are_drawn_again():
    """One picture in hundreds with the policy of DeiT; one in fifteen at the largest magnitude."""
    plain = np.array(picture())
    found = [changed(seed, policy="rand-m10-inc1") for seed in range(60)]
    assert sum(not np.array_equal(each, plain) for each in found) > 40


@pytest.mark.parametrize("policy", ["best", "rand-x9"])
def test_a_policy_that_timm_does_not_know(policy):
    with pytest.raises(ValueError, match=f"timm knows no policy '{policy}'"):
        changed(policy=policy)
