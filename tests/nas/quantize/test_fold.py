"""Every fold computes the same network, in real numbers."""

from dataclasses import replace

import pytest
import torch

from nas.importer.forward import features, forward, logits
from nas.quantize import fold
from tests.nas.quantize.networks import random_images, random_network

IMAGES = random_images(3)


def result(network):
    residual = forward(network, IMAGES)
    return features(network, residual) if network.head is None else logits(network, residual)


def absorbed(network):
    return fold.absorb_scales(fold.absorb_norms(fold.absorb_pixels(network)))


def centred(network):
    def block(old):
        mean = torch.arange(len(old.k.bias)).double()
        return fold.centre_values(fold.centre_keys(old, mean), mean.flip(0))

    return replace(network, blocks=tuple(map(block, network.blocks)))


def rotated(network):
    return fold.rotate_stream(absorbed(network), fold.random_rotation(network.width, seed=3))


@pytest.mark.parametrize(
    "kind",
    [{}, {"classes": 0}, {"front": True}, {"classes": 0, "pool": "attention"}],
    ids=str,
)
@pytest.mark.parametrize(
    "apply",
    [
        fold.absorb_pixels,
        fold.absorb_norms,
        fold.absorb_scales,
        absorbed,
        centred,
        rotated,
        fold.rotate_heads,
        lambda network: centred(fold.rotate_heads(rotated(network))),
    ],
)
def test_results_stay(apply, kind):
    network = random_network(**kind)
    assert fold.largest_difference(network, apply(network), result) < 1e-12


def test_the_stream_in_front_has_a_rotation_of_its_own():
    network = rotated(random_network(front=True))
    again = fold.rotate_front(network, fold.random_rotation(network.width, seed=4))
    assert fold.largest_difference(network, again, result) < 1e-12
    assert not torch.allclose(network.position, again.position)
    assert network.blocks == again.blocks and network.front.norm is again.front.norm


def test_norms_and_scales_are_gone():
    network = absorbed(random_network())
    for block in network.blocks:
        assert (block.norm1.weight == 1).all() and (block.norm2.bias == 0).all()
        assert (block.scale1 == 1).all() and (block.scale2 == 1).all()
    assert (network.norm.weight == 1).all()


def test_rotation_is_orthogonal_and_keeps_ones():
    rotation = fold.random_rotation(24, seed=1)
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(24).double())
    torch.testing.assert_close(rotation @ torch.ones(24).double(), torch.ones(24).double())
    assert rotation.abs().max() < 0.8  # far from a permutation
    assert not torch.equal(rotation, fold.random_rotation(24, seed=2))


@pytest.mark.parametrize("size", [8, 12])
def test_heads_are_spread_evenly(size):
    matrix = torch.from_numpy(fold.spread(size))
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(size).double())
    assert matrix.abs().max() < 1.5 * size**-0.5


def test_difference_sees_a_wrong_fold():
    network = random_network()
    wrong = replace(network, position=1.001 * network.position)
    assert fold.largest_difference(network, wrong, result) > 1e-6
