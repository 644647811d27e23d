"""Images of a report: both networks' answers, and what the class token attends to."""

from dataclasses import replace

import numpy as np
import pytest

from nas.evaluate import pictures as module
from nas.evaluate.answers import result
from nas.evaluate.pictures import FLOAT, INTEGER, pictures
from nas.numerics.integer import IntegerNetwork
from tests.nas.evaluate.models import NAMES, network, quantized
from tests.nas.quantize.networks import random_images

IMAGES = random_images(3, seed=4)
FILES = ["a.png", "b.png", "c.png"]


@pytest.fixture(scope="module")
def classifier():
    exact = network()
    return exact, quantized(exact)


def test_answers_of_both(classifier):
    exact, model = classifier
    found = list(pictures(model, exact, None, IMAGES, FILES, ["ant", "bee", "cat"]))
    assert [each.name for each in found] == FILES
    assert [each.label for each in found] == ["ant", "bee", "cat"]
    for image, each in zip(IMAGES, found, strict=True):
        np.testing.assert_array_equal(each.pixels, image.numpy())
        logits = result(exact, image[None])[0].numpy()
        first = NAMES[int(logits.argmax())]
        assert each.classes[int(each.shares[FLOAT].argmax())] == first
        share = np.exp(logits.max()) / np.exp(logits).sum()
        assert each.shares[FLOAT].max() == pytest.approx(share, rel=1e-4)
        codes = IntegerNetwork(model).run(image[None])[0].numpy()
        assert each.classes[int(each.shares[INTEGER].argmax())] == NAMES[codes.argmax()]
        assert not each.maps and not each.remark


def test_attention_of_both_is_alike(classifier):
    exact, model = classifier
    (first, *_) = pictures(model, exact, None, IMAGES, FILES)
    for weights in first.attention.values():
        assert weights.shape == model.shape.grid and (weights >= 0).all()
        assert 0.5 < weights.sum() < 1  # the rest is the class token's own
    one, other = (weights.ravel() for weights in first.attention.values())
    assert np.corrcoef(one, other)[0, 1] > 0.9


def test_tokens_as_colours():
    exact = network(0)
    model = quantized(exact)
    (first, *_) = pictures(model, exact, None, IMAGES, FILES)
    colours = first.maps["tokens"]
    assert {each.shape for each in colours.values()} == {(*model.shape.grid, 3)}
    assert np.abs(colours[FLOAT].astype(int) - colours[INTEGER]).mean() < 40
    assert first.remark.startswith("Mean cosine of the patches' tokens, integer and float: 0.9")
    assert first.shares == {}


def test_patches_that_are_not_left_are_dark():
    exact = network(0, "token", depth=3, keep={0: 5, 1: 3})
    model = quantized(exact)
    for each in pictures(model, exact, None, IMAGES, FILES):
        tokens, attention = each.maps["tokens"], each.attention
        left = attention[INTEGER].ravel() > 0
        assert left.sum() == 3
        assert np.array_equal(attention[FLOAT].ravel() > 0, left)
        for colours in tokens.values():
            assert not colours.reshape(-1, 3)[~left].any() and colours.any()
        assert each.remark.startswith("Mean cosine of the patches' tokens, integer and float: 0.9")


def test_maps_of_a_host_network():
    exact = network(0)
    model = quantized(exact)

    def host(features):
        return {"map": np.tile(features.mean(), (1, 1, 9, 9)), "few": np.zeros((1, 2, 2, 2))}

    (first, *_) = pictures(model, exact, host, IMAGES[:1], FILES[:1])
    assert set(first.maps) == {"tokens", "map"}
    assert first.maps["map"][INTEGER].shape == (9, 9)


def test_an_integer_model_alone(classifier):
    (first, *_) = pictures(classifier[1], None, None, IMAGES[:1], FILES[:1])
    assert set(first.attention) == set(first.shares) == {INTEGER}
    assert len(first.classes) == module.SHOWN


def test_classes_without_names(classifier):
    exact, model = classifier
    unnamed = replace(model, class_names=("",) * model.classes)
    (first, *_) = pictures(unnamed, exact, None, IMAGES[:1], FILES[:1])
    assert set(first.classes) <= set(map(str, range(model.classes)))


@pytest.mark.parametrize(
    ("queries", "class_token", "expected"),
    [(1, True, [8, 9]), (3, True, [4, 5]), (2, True, [2, 3]), (2, False, [2, 3])],
)
def test_whose_attention(queries, class_token, expected):
    """The class token's, where it is among the queries; else the mean of those that are."""
    rows = {1: [[8, 9, 1]], 3: [[0, 0, 1], [9, 9, 1], [4, 5, 1]], 2: [[1, 2, 1], [3, 4, 1]]}
    weights = np.array([rows[queries]], float)
    found = module._attention(weights, class_token, (1, 2), np.ones(2, bool))
    assert found.tolist() == [expected]
