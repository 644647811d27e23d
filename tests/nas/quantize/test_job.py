"""A float network and images to an integer model for an engine."""

from dataclasses import replace

import numpy as np
import pytest

from nas.cost import HardwareTarget
from nas.quantize.job import four_bits, quantize
from nas.quantize.method import Method
from rtl.errors import UserError
from tests.nas.quantize.networks import random_images, random_network

SIM = HardwareTarget.load("sim")
IMAGES = random_images(24)
NETWORK = random_network(width=32, heads=2, head_dim=16, hidden=64, classes=0)


def eight_bit_share(model):
    bits = [layer.bits for name, layer in model.linears().items() if name.startswith("blocks.")]
    return float((np.concatenate(bits) == 8).mean())


@pytest.mark.parametrize(("weights", "share"), [("4", 0.0), ("8", 1.0)])
def test_uniform_weights(weights, share):
    result = quantize(NETWORK, IMAGES, SIM, weights=weights)
    assert eight_bit_share(result.model) == share
    assert (result.model.embed.bits == 8).all()
    assert result.cycles == SIM.cycles(SIM.compile(result.model.shape))
    assert result.model.info["method"]["act_bits"] == SIM.engine.act_bits


def test_mixed_weights_use_their_cycles():
    least, most = (quantize(NETWORK, IMAGES, SIM, weights=w).cycles for w in ("4", "8"))
    limit = (least + most) // 2
    result = quantize(NETWORK, IMAGES, SIM, weights="mixed", cycles=limit)
    assert 0.9 * limit < result.cycles <= limit
    assert 0.2 < eight_bit_share(result.model) < 0.8


def test_too_few_cycles():
    with pytest.raises(UserError, match="4-bit rows alone are more than the limit of 100"):
        quantize(NETWORK, IMAGES, SIM, weights="mixed", cycles=100)


def test_a_classifier_keeps_eight_bits():
    network = random_network(width=32, heads=2, head_dim=16, hidden=64, classes=5)
    model = quantize(network, IMAGES, SIM, weights="4").model
    assert (model.classifier.head.bits == 8).all()
    assert model.class_names == network.class_names


def test_the_matrix_in_front_keeps_eight_bits():
    network = random_network(width=32, heads=2, head_dim=16, hidden=64, classes=0, front=True)
    result = quantize(network, IMAGES, SIM, weights="4")
    assert (result.model.front.layer.bits == 8).all()
    assert result.cycles == SIM.cycles(SIM.compile(result.model.shape))
    assert result.model.info["fold_difference"] < 1e-12


def test_attention_pooling_with_mixed_weights(tmp_path):
    """The constant query has no rows to choose; kept blocks are read back as they were."""
    network = random_network(
        width=32, heads=2, head_dim=16, hidden=64, classes=0, pool="attention", depth=3
    )
    least, most = (quantize(network, IMAGES, SIM, weights=w).cycles for w in ("4", "8"))
    limit = (least + most) // 2
    result = quantize(network, IMAGES, SIM, weights="mixed", cycles=limit, work_folder=tmp_path)
    assert 0.9 * limit < result.cycles <= limit
    assert 0.2 < eight_bit_share(result.model) < 0.8
    assert (result.model.blocks[-1].q.bits == 4).all()
    assert result.quantized.codes.pooled and not result.quantized.codes.front


def test_the_same_twice():
    hashes = {quantize(NETWORK, IMAGES, SIM, weights="4").model.hash for _ in range(2)}
    assert len(hashes) == 1


def test_another_seed_rotates_otherwise():
    one, other = (
        quantize(NETWORK, IMAGES, SIM, method=replace(Method(), seed=seed)).model for seed in (0, 1)
    )
    assert not np.array_equal(one.position, other.position)


def test_a_network_that_is_too_wide_is_refused_at_once():
    wide = random_network(width=1032, heads=1, head_dim=8, hidden=8, depth=1)
    with pytest.raises(UserError, match="width"):
        quantize(wide, IMAGES, SIM)


@pytest.mark.parametrize(("weights", "cycles"), [("6", None), ("mixed", None), ("8", 1000)])
def test_wrong_calls(weights, cycles):
    with pytest.raises(ValueError, match="weights"):
        quantize(NETWORK, IMAGES, SIM, weights=weights, cycles=cycles)


def test_shape_is_that_of_the_model():
    result = quantize(NETWORK, IMAGES, SIM, weights="4")
    method = replace(Method(), act_bits=SIM.engine.act_bits)
    assert four_bits(NETWORK, SIM.engine.row_lanes, method) == result.model.shape
