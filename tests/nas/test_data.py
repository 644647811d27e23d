"""Sets of images: batches, and thinning."""

import torch

from nas.data import ImageSet, TrainingData, thinned
from rtl.model import Preprocessing


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
