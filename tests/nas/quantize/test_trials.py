"""The aim is chosen on images that no trial was rounded with."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nas.importer.forward import forward, output
from nas.quantize.method import Method
from nas.quantize.network import QuantizedNetwork
from nas.quantize.trials import best_method, candidates, relative_error
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


def test_least_error_comes_first_and_last_images_are_left_out():
    seen = []

    def run(images, method):
        seen.append(images)
        return worse(1 + abs(method.ridge - 1.0) + (0 if method.least_squares else 5))

    trials = best_method(NETWORK, IMAGES, Method(), run)
    assert [trial.method.ridge for trial in trials[:2]] == [1.0, 0.3]
    assert not trials[-1].method.least_squares
    assert all(torch.equal(images, IMAGES[:10]) for images in seen)
    assert len(trials) == len(candidates(Method()))


def test_what_is_measured_is_what_a_user_gets():
    for classes, pool in ((0, "token"), (0, "mean"), (0, "all"), (5, "mean")):
        network = random_network(classes=classes, pool=pool)
        found = output(network, forward(network, IMAGES))
        assert found.shape[:1] + found.shape[-1:] == (13, classes or 24)
        assert found.ndim == (3 if pool == "all" else 2)
