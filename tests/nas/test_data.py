"""Sets of images: batches, thinning, splits of equal classes."""

import numpy as np
import pytest
import torch

from nas.data import ImageSet, TrainingData, stratified_split, thinned
from rtl.model import Preprocessing

LABELS = np.repeat(np.arange(4), 10)


def image_set(count):
    pixels = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 2, 2, 1)
    return ImageSet(pixels, torch.arange(count) // 3)


def test_batches_hold_every_image_in_order():
    batches = list(image_set(7).batches(3))
    assert [len(part) for part in batches] == [3, 3, 1]
    assert torch.cat([part.pixels[:, 0, 0, 0] for part in batches]).tolist() == list(range(7))
    assert batches[1].labels.tolist() == [1, 1, 1]


def test_take_keeps_labels_with_their_images():
    part = image_set(9).take([8, 0])
    assert part.pixels[:, 0, 0, 0].tolist() == [8, 0]
    assert part.labels.tolist() == [2, 0]


def test_thinning_keeps_every_class():
    data = TrainingData(image_set(9), image_set(6), ("a", "b", "c"), Preprocessing((2, 2), "L"))
    few = thinned(data, 2)
    assert len(few.train) == 5 and set(few.train.labels.tolist()) == {0, 1, 2}
    assert len(few.validation) == 3
    assert few.class_names == data.class_names


def test_splits_are_disjoint_and_even():
    parts = stratified_split(LABELS, {"train": 24, "test": 16}, seed=1)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(40))
    for name, each in (("train", 6), ("test", 4)):
        assert np.bincount(LABELS[parts[name]]).tolist() == [each] * 4


def test_splits_are_those_of_their_seed():
    one, same, other = (stratified_split(LABELS, {"a": 8}, seed=s)["a"] for s in (1, 1, 2))
    assert one.tolist() == same.tolist() != other.tolist()


def test_sizes_are_multiples_of_the_classes():
    with pytest.raises(ValueError, match="a must be a multiple of 4 classes, not 6"):
        stratified_split(LABELS, {"a": 6}, seed=0)
