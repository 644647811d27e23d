"""Checks of canonical networks."""

from dataclasses import replace

import pytest
import torch

from nas.importer import load
from nas.importer.checks import check, tensors
from nas.importer.network import affine
from rtl.errors import UserError
from tests.nas.importer.tiny import MEAN, STD, Style, export


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path, _ = export(tmp_path_factory.mktemp("tiny"), Style("classes"))
    return load(path, mean=MEAN, std=STD)


def test_tensors_by_name(network):
    names = [name for name, _ in tensors(network)]
    assert {"position", "blocks.1.fc2.weight", "norm.bias", "head.weight"} <= set(names)
    assert len(names) == len(set(names))


def test_values_that_are_not_finite(network):
    position = network.position.clone()
    position[2, 3] = torch.inf
    with pytest.raises(UserError, match=r"^tiny: position holds values that are not finite"):
        check(replace(network, position=position))


def test_too_many_tokens_name_the_image_size_that_fits(network):
    """31 x 31 patches and a class token are 962 tokens; 32 x 32 would be 1,025."""
    large = replace(network, image=(128, 128, 3), position=torch.zeros(1025, 24))
    with pytest.raises(
        UserError, match=r"1,025 tokens at 128 x 128 pixels, .* fit: give --image-size 124, "
    ):
        check(large)


def test_heads_of_other_sizes(network):
    first, second = network.blocks
    with pytest.raises(UserError, match=r"block 1 has 2 heads of 12 channels, block 0 heads of 8"):
        check(replace(network, blocks=(first, replace(second, heads=2))))
    q, k, v = (affine(torch.zeros(16, 24)) for _ in range(3))
    fewer = replace(second, heads=2, q=q, k=k, v=v, proj=affine(torch.zeros(24, 16)))
    check(replace(network, blocks=(first, fewer)))  # fewer heads of the same size run


def test_class_names_of_another_length(network):
    with pytest.raises(UserError, match=r"tiny: 2 class names for 7 classes"):
        check(replace(network, class_names=("a", "b")))


def test_class_names_without_classes(network):
    features = replace(network, head=None, class_names=("a", "b"))
    with pytest.raises(UserError, match=r"tiny: 2 class names, but it has no classes"):
        check(features)
    check(replace(features, host=b"decoder"))
