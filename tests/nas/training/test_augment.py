"""Distortions: seeded, of an image's type, within their ranges."""

from dataclasses import replace

import pytest
import torch

from nas.training.augment import Augmentation

NONE = Augmentation()
SOME = Augmentation(rotation=12, scale=0.1, shear=0.1, shift=2, elastic=0.7)


def images(count: int = 8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 28, 28, 1), generator=generator).to(torch.uint8)


def centre_of_mass(image: torch.Tensor) -> torch.Tensor:
    weight = image.squeeze().float()
    y, x = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    return torch.stack([(weight * y).sum(), (weight * x).sum()]) / weight.sum()


def test_nothing_changes_without_distortion():
    assert torch.equal(NONE(images(), torch.Generator()), images())


def test_same_seed_same_images():
    first = SOME(images(), torch.Generator().manual_seed(5))
    assert first.dtype == torch.uint8 and first.shape == (8, 28, 28, 1)
    assert torch.equal(first, SOME(images(), torch.Generator().manual_seed(5)))
    assert not torch.equal(first, SOME(images(), torch.Generator().manual_seed(6)))


@pytest.mark.parametrize(
    ("change", "furthest"),
    [({"shift": 2.0}, 2.9), ({"elastic": 0.7}, 2.5), ({"rotation": 12.0}, 0.2)],
)
def test_a_dot_moves_no_further_than_asked(change, furthest):
    dot = torch.zeros(50, 28, 28, 1, dtype=torch.uint8)
    dot[:, 12:16, 12:16] = 200
    moved = replace(NONE, **change)(dot, torch.Generator().manual_seed(0))
    distances = [float((centre_of_mass(image) - 13.5).norm()) for image in moved]
    assert max(distances) <= furthest
    assert not torch.equal(moved, dot)


def test_images_of_a_batch_differ():
    same = images(1).expand(4, -1, -1, -1)
    moved = SOME(same, torch.Generator().manual_seed(0))
    assert not torch.equal(moved[0], moved[1])
