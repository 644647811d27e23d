"""The contract: one trained network, equal in PyTorch, golden and RTL.

The network is the trained digits model in examples/, the images are real digits.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from boards.host.pictures import prepare
from nas.digits import load_digits
from nas.numerics.integer import IntegerNetwork
from rtl.board import load_board
from rtl.model import IntegerModel
from rtl.model.keep import original_tokens
from sim import golden, runner

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def model() -> IntegerModel:
    return IntegerModel.load(EXAMPLES / "digits.pulsar")


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """The 500 search-validation images; the test set is for final reports alone."""
    return load_digits().validation.pixels.numpy()


def test_pytorch_equals_golden_on_every_code(model, images):
    expected: dict[str, np.ndarray] = {}
    got: dict[str, torch.Tensor] = {}
    golden.run(model, images, tensors=expected)
    IntegerNetwork(model, torch.device("cpu")).run(torch.from_numpy(images), tensors=got)
    assert list(got) == list(expected)
    for name, tensor in expected.items():
        assert np.array_equal(got[name].numpy(), tensor), name


def test_a_digit_loses_its_background(model, images):
    """Some of a trained network's patches dropped: every code equal; what stays is ink."""
    keeps = (12, 9, 5, None)
    blocks = tuple(replace(b, keep=keep) for b, keep in zip(model.blocks, keeps, strict=True))
    model, expected, got = replace(model, blocks=blocks), {}, {}
    golden.run(model, images, tensors=expected)
    IntegerNetwork(model).run(torch.from_numpy(images), tensors=got)
    assert list(got) == list(expected)
    for name, tensor in expected.items():
        assert np.array_equal(got[name].numpy(), tensor), name

    left = original_tokens(expected, model.shape, len(blocks))[:, :-1]  # (images, 5)
    ink = expected["pixels"].mean(axis=-1)  # (images, patches)
    assert np.take_along_axis(ink, left, 1).mean() > 1.5 * ink.mean()


@pytest.mark.sim
def test_the_engine_equals_golden_on_every_word(model, images):
    run = runner.run(model, images[:4], load_board("sim"))
    assert run.exact, run.first_mismatch
    assert np.array_equal(run.output, golden.run(model, images[:4]))


def test_the_example_is_a_good_classifier(model, images):
    labels = load_digits().validation.labels.numpy()
    assert (golden.run(model, images).argmax(axis=1) == labels).mean() > 0.95


def test_the_example_images_are_recognised(model):
    for path in sorted(EXAMPLES.glob("*.png")):
        pixels = prepare(path, model.preprocessing, model.image)[None]
        assert model.class_names[golden.run(model, pixels).argmax()] in path.stem
