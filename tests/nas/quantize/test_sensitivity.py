"""Scores of rows predict what rounding does to the result."""

from dataclasses import replace

import pytest
import torch

from nas.importer.forward import features, forward, linear, look
from nas.importer.network import Affine, converted
from nas.importer.selection import keeping, noting, on_tokens
from nas.quantize.arrange import folded
from nas.quantize.block import INPUT_OF
from nas.quantize.method import Method
from nas.quantize.moments import MomentSums
from nas.quantize.rounding import compensated
from nas.quantize.sensitivity import random_signs, row_scores
from rtl.model.shape import LAYERS
from tests.nas.quantize.networks import random_images, random_network

NAMES = ("blocks.0.fc1", "blocks.1.proj", "blocks.2.v", "blocks.1.q")


def with_four_bits(network, name, images):
    """Round one layer to 4 bits, with a bias that keeps its mean."""
    inputs = {}
    forward(network, images, lambda key, x: inputs.setdefault(key, x))
    _, index, layer = name.split(".")
    old = getattr(network.blocks[int(index)], layer)
    sums = MomentSums(cross=False)
    x = inputs[f"blocks.{index}.{INPUT_OF[layer]}"]
    sums.add(x, linear(old, x))
    moments = sums.moments()
    bits = torch.full((len(old.bias),), 4)
    weight = compensated(old.weight, bits, moments.inputs.float()).weight
    new = Affine(weight, moments.bias(weight.double()).float())
    blocks = list(network.blocks)
    blocks[int(index)] = replace(blocks[int(index)], **{layer: new})
    return replace(network, blocks=tuple(blocks))


@pytest.fixture(scope="module")
def network():
    return converted(folded(random_network(classes=0, depth=3, hidden=64), Method()), torch.float32)


def test_scores_predict_the_change_of_the_features(network):
    images = random_images(12)
    scores = row_scores(network, images, directions=random_signs(probes=16))
    assert set(scores) == {f"blocks.{i}.{layer}" for i in range(3) for layer in LAYERS}
    before = features(network, forward(network, images))
    for name in NAMES:
        changed = with_four_bits(network, name, images)
        after = features(changed, forward(changed, images))
        measured = float((after - before).square().sum() / before.square().sum())
        assert 0.5 < float(scores[name].sum()) / measured < 2, name


def test_scores_of_a_network_that_selects(network):
    """The tokens that stay are the float network's own, whatever a row's rounding would choose."""
    images, kept = random_images(12), {}
    network = keeping(network, {0: 4, 1: 2})
    scores = row_scores(network, images, directions=random_signs(probes=16))
    before = features(network, forward(network, images, noting(kept, look)))
    for name in ("blocks.0.proj", "blocks.1.proj", "blocks.1.fc1", "blocks.2.v"):
        changed = with_four_bits(network, name, images)
        after = features(changed, forward(changed, images, on_tokens(kept, look)))
        measured = float((after - before).square().sum() / before.square().sum())
        assert 0.5 < float(scores[name].sum()) / measured < 2, name


def test_scores_are_those_of_their_seed(network):
    images = random_images(2)
    one, same, other = (row_scores(network, images, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one["blocks.0.q"], same["blocks.0.q"])
    assert not torch.equal(one["blocks.0.q"], other["blocks.0.q"])
