"""PyTorch's integer mode equals golden on every code of every tensor."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.numerics.integer import IntegerNetwork
from rtl.model import IntegerModel
from rtl.model.keep import original_tokens
from sim import golden
from sim.random_model import random_images, random_model

CONFORMANCE = Path(__file__).parents[2] / "conformance"
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]

NETWORKS = {
    "digits": {"blocks": ((4, 128), (2, 64), (3, 96)), "width": 48},
    "colour": {"image": (16, 24, 3), "patch": 8, "width": 40, "blocks": ((2, 80),) * 2},
    "197 tokens": {
        "image": (28, 28, 1), "patch": 2, "width": 32, "blocks": ((2, 64),) * 2, "head_dim": 8,
    },
    "one block": {"width": 16, "blocks": ((1, 16),), "row_granularity": 8},
    "mean": {"width": 40, "blocks": ((2, 80),) * 2, "pool": "mean"},
    "mean without class token": {
        "width": 16, "blocks": ((1, 16),), "row_granularity": 8, "pool": "mean",
        "class_token": False,
    },
    "tokens": {"width": 40, "blocks": ((2, 80),) * 2, "output": "tokens"},
    "registers": {"width": 16, "blocks": ((1, 16),) * 2, "registers": 4, "row_granularity": 8},
    "two tables": {"width": 16, "blocks": ((1, 72), (2, 32)), "two_tables": True},
    "everything new": {
        "width": 16, "blocks": ((1, 72), (2, 32)), "two_tables": True, "output": "tokens",
        "registers": 2, "pool": "all", "class_token": False,
    },
    "front": {"width": 40, "blocks": ((2, 80),) * 2, "front": True},
    "attention pooling": {
        "width": 40, "blocks": ((2, 80),) * 3, "output": "tokens", "pool": "attention",
    },
    "keep": {"width": 40, "blocks": ((2, 80),) * 4, "keep": {0: 9, 1: 9, 2: 4}},
    "keep of 196": {
        "image": (28, 28, 1), "patch": 2, "width": 32, "blocks": ((3, 64), (1, 32), (2, 64)),
        "head_dim": 8, "keep": {0: 143, 1: 71},
    },
    "keep one": {"width": 16, "blocks": ((1, 16),) * 3, "row_granularity": 8, "keep": {1: 1}},
    "keep all": {"width": 16, "blocks": ((3, 16),) * 3, "row_granularity": 8, "keep": {0: 16}},
    "keep the one patch": {
        "image": (7, 7, 1), "width": 16, "blocks": ((2, 16),) * 2, "keep": {0: 1},
    },
    "keep of 12 heads": {
        "width": 48, "head_dim": 4, "blocks": ((12, 48),) * 3, "keep": {0: 10, 1: 3},
        "registers": 2,
    },
    "keep of tokens": {
        "width": 40, "blocks": ((2, 80),) * 3, "output": "tokens", "pool": "all", "registers": 3,
        "keep": {0: 7, 1: 5}, "front": True, "two_tables": True,
    },
}  # fmt: skip


def assert_every_code_equal(model, images: np.ndarray, device: str) -> None:
    expected, found = {}, {}
    logits = golden.run(model, images, tensors=expected)
    result = IntegerNetwork(model, device).run(torch.from_numpy(images), tensors=found)
    assert result.dtype == torch.int32
    assert list(found) == list(expected)
    for name, codes in expected.items():
        np.testing.assert_array_equal(found[name].cpu().numpy(), codes, err_msg=name)
    np.testing.assert_array_equal(result.cpu().numpy(), logits)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("act_bits", [4, 6, 8])
@pytest.mark.parametrize("network", NETWORKS)
def test_every_code_equals_golden(network, act_bits, device):
    model = random_model(**NETWORKS[network], act_bits=act_bits, bits8_fraction=0.4, seed=act_bits)
    assert_every_code_equal(model, random_images(model.image, 3, seed=1), device)


@pytest.mark.parametrize("file", sorted(CONFORMANCE.glob("*.pulsar")), ids=lambda file: file.stem)
def test_conformance_files(file):
    arrays = dict(np.load(file.with_suffix(".npz")))
    found: dict[str, torch.Tensor] = {}
    network = IntegerNetwork(IntegerModel.load(file))
    network.run(torch.from_numpy(arrays.pop("images")), tensors=found)
    left = arrays.pop("features.tokens", None)
    if left is not None:
        kept = {name: each.numpy() for name, each in found.items() if name.endswith(".kept")}
        shape = network.model.shape
        np.testing.assert_array_equal(original_tokens(kept, shape, len(shape.blocks)), left)
    if arrays.pop("features", None) is None:
        assert arrays.pop("class").tolist() == found["logits"].argmax(dim=1).tolist()
    assert found.keys() == arrays.keys()
    for name, codes in arrays.items():
        np.testing.assert_array_equal(found[name].numpy(), codes, err_msg=name)


def test_extreme_images():
    model = random_model(seed=5)
    images = np.zeros((3, *model.image), np.uint8)
    images[1] = 255
    images[2, ::2] = 255
    assert_every_code_equal(model, images, "cpu")


@pytest.mark.parametrize("act_bits", [4, 6, 8])
@pytest.mark.parametrize("keep", [{0: 1}, {0: 9, 1: 4}, {0: 16, 1: 16}], ids=str)
def test_ties_everywhere(keep, act_bits):
    """Blank images, without positions: all patches are as important."""
    model = random_model(width=16, blocks=((2, 16),) * 3, keep=keep, act_bits=act_bits)
    model = replace(model, position=np.zeros_like(model.position))
    images = np.zeros((2, *model.image), np.uint8)
    images[1] = 255
    assert_every_code_equal(model, images, "cpu")
    found: dict[str, torch.Tensor] = {}
    IntegerNetwork(model).run(torch.from_numpy(images), tensors=found)
    assert found["blocks.0.kept"].tolist() == [[*range(keep[0]), 16]] * 2


def test_batches_that_take_several_chunks(monkeypatch):
    monkeypatch.setattr("nas.numerics.integer.CHUNK_VALUES", 1)
    model = random_model(width=32, blocks=((2, 32),) * 2, seed=2)
    assert_every_code_equal(model, random_images(model.image, 3), "cpu")


@pytest.mark.parametrize("images", [torch.zeros(2, 28, 28, 1), torch.zeros(28, 28, 1).byte()])
def test_refuses_other_types_and_shapes(images):
    network = IntegerNetwork(random_model(width=16, blocks=((1, 16),)))
    with pytest.raises(ValueError, match=r"images must be uint8 \(batch, 28, 28, 1\), not torch"):
        network.run(images)


def test_float64_where_the_bound_is_not_proven(monkeypatch):
    """Every matrix, as if none of the bounds held."""
    monkeypatch.setattr("nas.numerics.parts.EXACT_FLOAT32", 1)
    model = random_model(width=32, blocks=((2, 72), (1, 32)), seed=3)
    assert_every_code_equal(model, random_images(model.image, 3), "cpu")
