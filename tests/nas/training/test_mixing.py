"""Mixup and cutmix: what is mixed, as a function of a seed, by shares as by the whole."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from nas.training.mixing import Mixing
from nas.training.share import Share


@pytest.fixture
def batch(tiny_data):
    few = tiny_data.train.take(range(16))
    return few.pixels, few.labels


def test_mixup_takes_images_and_classes_in_one_proportion(tiny_config, batch):
    pixels, labels = batch
    mixed, targets = Mixing(replace(tiny_config, mixup=0.8))(pixels, labels, 3)
    assert mixed.dtype == torch.uint8 and mixed.shape == pixels.shape
    one_hot = functional.one_hot(labels, 3).float()
    differ = labels != labels.flip(0)
    share = targets[differ].gather(1, labels[differ].unsqueeze(1))
    assert 0 < share[0] < 1 and torch.allclose(share, share[0].expand_as(share))
    share = float(share[0])
    expected = pixels * share + pixels.flip(0) * (1 - share)
    assert (mixed - expected).abs().max() <= 0.51
    torch.testing.assert_close(targets, one_hot * share + one_hot.flip(0) * (1 - share))


def test_cutmix_takes_a_box_of_the_other_image(tiny_config, batch):
    pixels, labels = batch
    mixed, targets = Mixing(replace(tiny_config, cutmix=1.0))(pixels, labels, 2)
    other = (mixed == pixels.flip(0)) & (mixed != pixels)
    assert ((mixed == pixels) | (mixed == pixels.flip(0))).all()
    rows, columns = (other.any(0).any(axis).flatten() for axis in (1, 0))
    area = int(rows.sum() * columns.sum()) / 64
    assert 0 < area < 1
    assert float(targets.sum(1).min()) == pytest.approx(1)
    index = int((labels != labels.flip(0)).nonzero()[0])
    assert float(targets[index, labels[index]]) == pytest.approx(1 - area)


@pytest.mark.parametrize("options", [{"mixup": 0.8}, {"cutmix": 1.0}])
def test_shares_are_mixed_as_the_whole(tiny_config, batch, options):
    pixels, labels = batch
    mix = Mixing(replace(tiny_config, **options))
    whole = mix(pixels, labels, 5)
    for process in range(3):
        places = Share.of(16, process, 3).positions
        part = mix(pixels[places], labels[places], 5)
        for a, b in zip(part, whole, strict=True):
            torch.testing.assert_close(a, b[places], rtol=0, atol=0)


def test_a_mixture_is_a_function_of_the_seed_and_leaves_numpy_s_alone(tiny_config, batch):
    mix = Mixing(replace(tiny_config, mixup=0.8, cutmix=1.0))
    np.random.seed(7)
    expected = np.random.rand()
    np.random.seed(7)
    pixels, labels = batch
    one, same, other = (mix(pixels, labels, seed)[0] for seed in (1, 1, 2))
    assert np.random.rand() == expected
    assert torch.equal(one, same) and not torch.equal(one, other)
