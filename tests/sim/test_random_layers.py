"""Random layers use their ranges as trained ones do."""

import numpy as np
import pytest

from sim.golden import run
from sim.random_model import random_images, random_model


@pytest.fixture(scope="module", params=[4, 6, 8])
def case(request):
    model = random_model(blocks=[(4, 256)] * 6, act_bits=request.param, seed=request.param)
    tensors = {}
    run(model, random_images(model.image, 32, 77), tensors=tensors)
    return model, tensors


def code_limits(model, name):
    bits = 8 if name.endswith((".k", ".v")) else model.act_bits
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def test_codes_use_their_ranges(case):
    model, tensors = case
    for name, tensor in tensors.items():
        if name.endswith((".q", ".k", ".v", ".context")):
            low, high = code_limits(model, name)
            assert high / 5 < tensor.std() < high / 2, name
            assert ((tensor == low) | (tensor == high)).mean() < 0.1, name


def test_residual_is_moderately_used(case):
    _, tensors = case
    for name, tensor in tensors.items():
        if name == "embed" or name.endswith((".attended", ".output")):
            assert 500 < tensor.std() < 8000, name
            assert (np.abs(tensor) >= 32767).mean() < 0.01, name


def test_softmax_is_neither_flat_nor_one_hot(case):
    _, tensors = case
    for name, tensor in tensors.items():
        if name.endswith(".attention"):
            p = tensor / tensor.sum(-1, keepdims=True)
            entropy = -(p * np.log2(np.maximum(p, 1e-12))).sum(-1).mean()
            assert 1 < entropy < np.log2(tensor.shape[-1]) - 0.1, name


def test_logits_tell_pictures_apart(case):
    _, tensors = case
    assert len(set(tensors["logits"].argmax(-1).tolist())) > 2


@pytest.mark.parametrize("class_token", [True, False])
@pytest.mark.parametrize("act_bits", [4, 6, 8])
def test_the_mean_uses_its_range(act_bits, class_token):
    model = random_model(act_bits=act_bits, pool="mean", class_token=class_token, seed=act_bits)
    tensors = {}
    run(model, random_images(model.image, 32, 77), tensors=tensors)
    low, high = code_limits(model, "pool")
    assert high / 5 < tensors["pool"].std() < high / 2
    assert ((tensors["pool"] == low) | (tensors["pool"] == high)).mean() < 0.1
    assert len(set(tensors["logits"].argmax(-1).tolist())) > 2
