"""Final tokens and maps: those of the source network, and how far others are from them."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from nas.vit.maps import Closeness, Tokens, float_tokens, import_error, integer_tokens
from tests.nas.importer.tiny import normalised


def test_float_maps_are_those_of_the_source(made):
    example, _ = made
    images = example.test_images
    session = onnxruntime.InferenceSession(example.source)
    (expected,) = session.run(None, {"image": normalised(images, torch.float32).numpy()})
    found = float_tokens(example.network, images)
    np.testing.assert_allclose(found.maps, np.asarray(expected)[:, 0], atol=1e-5)
    assert found.features.shape == (3, 10, 24) and found.patches.shape == (3, 9, 24)


def test_the_import_is_compared_with_the_source(made):
    example, _ = made
    error = import_error(Path(example.source), example.network, example.test_images)
    assert 0 < error < 1e-4
    other = float_tokens(example.network, example.test_images.flip(0))
    assert np.abs(other.features - example.expected.features).max() > 1e-2


def test_closeness_is_1_1_0_for_equals(made):
    example, row = made
    equal = Closeness.of(example.expected, example.expected)
    assert (equal.cos, equal.corr) == (pytest.approx(1), pytest.approx(1)) and equal.rel == 0
    host = example.network.host
    found = integer_tokens(row.model, host, example.test_images)
    near = Closeness.of(found, example.expected)
    assert 0.999 < near.cos < 1 and 0.999 < near.corr < 1 and 0 < near.rel < 0.02


def test_closeness_by_hand():
    features = np.array([[[3, 4], [1, 0], [9, 9]], [[0, 1], [1, 1], [9, 9]]], np.float32)
    turned = features.copy()
    turned[0, 0] = [4, -3]  # at a right angle
    turned[1, 2] = [9, 12]  # not a patch: counts for rel alone
    maps = np.array([[[0, 1], [2, 3]], [[0, 1], [2, 3]]], np.float32)
    against = np.stack([maps[0], -maps[1]])
    close = Closeness.of(Tokens(turned, against, 2), Tokens(features, maps, 2))
    assert close.cos == pytest.approx(3 / 4)
    assert close.corr == pytest.approx(0)
    total = 25 + 1 + 162 + 1 + 2 + 162
    assert close.rel == pytest.approx(((1 + 49 + 9) / total) ** 0.5)
