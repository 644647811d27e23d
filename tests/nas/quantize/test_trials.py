"""The aim is chosen on images that no trial was rounded with."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nas.importer.forward import forward, look, output
from nas.importer.selection import keeping, noting, on_tokens
from nas.quantize.method import Method
from nas.quantize.network import QuantizedNetwork
from nas.quantize.trials import left_out, relative_error, tried
from tests.nas.quantize.networks import random_images, random_network

NETWORK = random_network()
IMAGES = random_images(13)


def worse(factor):
    """Return the network with a classifier that is off by a factor."""
    head = NETWORK.head
    assert head
    head = replace(head, weight=head.weight * factor, bias=head.bias * factor)
    codes: Any = SimpleNamespace(tap=lambda: lambda name, tensor: tensor)
    return QuantizedNetwork(replace(NETWORK, head=head), codes, {})


def test_error_is_relative():
    assert relative_error(NETWORK, worse(1.1), IMAGES) == pytest.approx(0.1)
    assert relative_error(NETWORK, worse(1.0), IMAGES) == 0


def test_error_is_on_the_tokens_that_the_quantized_network_chooses():
    network = keeping(random_network(classes=0, pool="all", depth=3), {0: 3, 1: 2})
    shown = replace(network, position=network.position.flip(0))
    codes: Any = SimpleNamespace(tap=lambda: lambda name, tensor: tensor)
    assert relative_error(network, QuantizedNetwork(network, codes, {}), IMAGES) == 0
    other = QuantizedNetwork(shown, codes, {})
    kept: dict[str, torch.Tensor] = {}
    found = output(shown, forward(shown, IMAGES, noting(kept, look)))
    wanted = output(network, forward(network, IMAGES, on_tokens(kept, look)))
    error = float((found - wanted).norm() / wanted.norm())
    assert relative_error(network, other, IMAGES) == pytest.approx(error)


def test_least_error_comes_first():
    seen = []

    def run(images, method):
        seen.append(images)
        return worse(1.1 if method.least_squares else 1.2)

    trials = tried(NETWORK, IMAGES, Method(), run)
    assert [trial.method.least_squares for trial in trials] == [True, False]
    assert [trial.error for trial in trials] == [pytest.approx(0.1), pytest.approx(0.2)]
    assert len(seen) == 6


@pytest.mark.parametrize("images", [2, 3, 13, 60, 64])
def test_every_image_is_left_out_once(images):
    folds = left_out(images)
    assert torch.equal(torch.stack(folds).sum(0), torch.ones(images, dtype=torch.int64))
    assert all(0 < held.sum() < images for held in folds)


def test_crops_of_one_picture_are_left_out_together():
    for held in left_out(60):
        assert torch.equal(held, held.view(12, 5)[:, 0].repeat_interleave(5))


def test_what_is_measured_is_what_a_user_gets():
    for classes, pool in ((0, "token"), (0, "mean"), (0, "all"), (5, "mean")):
        network = random_network(classes=classes, pool=pool)
        found = output(network, forward(network, IMAGES))
        assert found.shape[:1] + found.shape[-1:] == (13, classes or 24)
        assert found.ndim == (3 if pool == "all" else 2)
