"""Networks answer with logits, features, or what a host makes of these."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from boards.host.features import features as host_features
from nas.evaluate.answers import float_answers, integer_answers, matching, result
from nas.importer.network import Affine, converted
from rtl.errors import UserError
from rtl.model import Features
from sim import golden
from tests.nas.evaluate.models import network, quantized
from tests.nas.quantize.networks import random_images

IMAGES = random_images(4, seed=5)


def test_logits_in_real_values():
    exact = network()
    model = quantized(exact)
    found = integer_answers(model)(IMAGES).logits
    codes = golden.run(model, IMAGES.numpy())
    assert found is not None and np.allclose(found, codes * model.classifier.output_scale)
    wanted = float_answers(converted(exact, torch.float32))(IMAGES).logits
    assert wanted is not None and np.linalg.norm(found - wanted) < 0.2 * np.linalg.norm(wanted)


@pytest.mark.parametrize("pool", ["token", "mean", "all"])
def test_features_of_both_are_alike(pool):
    exact = network(0, pool)
    model = quantized(exact)
    assert isinstance(model.output, Features)
    found = integer_answers(model)(IMAGES).features
    wanted = float_answers(exact)(IMAGES).features
    assert found is not None and wanted is not None
    golden_words = golden.run(model, IMAGES.numpy())
    assert np.array_equal(found, host_features(model.output, golden_words, 6))
    assert found.shape == wanted.shape == ((4, 7, 32) if pool == "all" else (4, 32))
    assert np.linalg.norm(found - wanted) < 0.2 * np.linalg.norm(wanted)


def test_a_flat_output_of_the_host_is_logits():
    exact = network(0, "all")

    def host(features):
        return {"map": features * 2, "score": features[:, -1, :1], "classes": features[:, -1, :5]}

    found = float_answers(exact, host)(IMAGES)
    assert found.logits is not None and found.features is not None
    assert np.array_equal(found.logits, found.features[:, -1, :5])
    assert set(found.outputs) == {"map", "score"}


def test_result_pools_as_the_network_says():
    exact = network(0, "all")
    tokens = result(exact, IMAGES)
    assert torch.equal(result(replace(exact, pool="token"), IMAGES), tokens[:, -1])
    assert torch.allclose(result(replace(exact, pool="mean"), IMAGES), tokens[:, :6].mean(1))


def test_the_model_says_how_to_pool():
    model = quantized(network(0, "mean"))
    assert matching(network(0, "all"), model).pool == "mean"


def test_the_model_says_how_many_patches_stay():
    exact = network(depth=3)
    model = quantized(network(depth=3, keep={0: 4, 1: 2}))
    both = matching(exact, model)
    assert [block.keep for block in both.blocks] == [4, 2, None]
    found, own = integer_answers(model)(IMAGES), float_answers(both)(IMAGES)
    assert list(found.kept) == list(own.kept) == ["blocks.0.kept", "blocks.1.kept"]
    tensors = {}
    golden.run(model, IMAGES.numpy(), tensors=tensors)
    for name, kept in found.kept.items():
        assert np.array_equal(kept, tensors[name])
    assert not exact.selects and not float_answers(exact)(IMAGES).kept


def test_the_float_network_answers_on_given_tokens():
    exact = network(depth=3, keep={0: 4, 1: 2})
    answer, first = float_answers(exact), torch.arange(5).expand(4, -1).clone()
    first[:, -1] = 6
    own = answer(IMAGES)
    given = {"blocks.0.kept": first, "blocks.1.kept": own.kept["blocks.1.kept"]}
    found = answer(IMAGES, given)
    assert torch.equal(found.kept["blocks.0.kept"], own.kept["blocks.0.kept"])
    assert own.logits is not None and found.logits is not None
    assert not np.allclose(found.logits, own.logits)
    np.testing.assert_array_equal(answer(IMAGES, own.kept).logits, own.logits)


def test_another_network_is_refused():
    exact = network()
    model = quantized(exact)
    with pytest.raises(UserError, match=r"takes images of 8 x 8 x 3, the .* 8 x 12 x 3: give"):
        matching(replace(exact, image=(8, 8, 3)), model)
    for other in (network(depth=3), network(depth=3, keep={0: 4, 1: 2})):
        with pytest.raises(UserError, match=r"random has 2 blocks, the .* 3: give the float netw"):
            matching(exact, quantized(other))
    with pytest.raises(UserError, match=r"random has no classifier, the integer model 5 classes"):
        matching(network(0), model)
    with pytest.raises(UserError, match=r"5 classes, the integer model no classifier.*--classes 0"):
        matching(exact, quantized(network(0)))
    fewer = replace(network(0), features=Affine(torch.eye(32)[:9], torch.zeros(9)))
    with pytest.raises(UserError, match=r"random has 9 features, the integer model 32"):
        matching(fewer, quantized(network(0)))
