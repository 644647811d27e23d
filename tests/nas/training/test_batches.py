"""Batches: an epoch shows every image, and each batch is a function of its step."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nas.training.batches import Batches


@pytest.fixture
def batches(short, tiny_data):
    return Batches(short, tiny_data.train)


def test_an_epoch_shows_every_image_once(short, tiny_data):
    plain = replace(short.augmentation, rotation=0, scale=0, shear=0, shift=0, elastic=0)
    batches = Batches(replace(short, augmentation=plain), tiny_data.train)
    seen = []
    for step in range(batches.steps_per_epoch):
        images, labels = batches.batch(step)
        assert images.dtype == torch.uint8 and len(images) == len(labels) == 32
        seen += [image.numpy().tobytes() for image in images]
    everything = [image.numpy().tobytes() for image in tiny_data.train.pixels]
    assert sorted(seen) == sorted(everything)


def test_an_image_is_distorted_differently_in_every_epoch(batches):
    first = batches.batch(0)[0]
    assert not torch.equal(first, batches.batch(batches.steps_per_epoch)[0])


def test_a_batch_is_a_function_of_its_step(batches, short, tiny_data):
    steps = [0, 7, 3, 8, 0]
    for step in steps:
        again = Batches(short, tiny_data.train).batch(step)
        assert all(torch.equal(a, b) for a, b in zip(batches.batch(step), again, strict=True))


def test_few_images_are_one_batch(short, tiny_data):
    batches = Batches(short, tiny_data.train.take(range(20)))
    assert batches.steps_per_epoch == 1
    assert sorted(batches.positions(5)) == list(np.arange(20))
