"""An exported network gives every code of golden, for every kind of model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from boards.host.features import features
from nas.export_onnx.export import export
from nas.export_onnx.network import FEATURES, IMAGES, INDICES, NetworkWriter
from rtl.model import Features, IntegerModel
from rtl.model.keep import original_tokens
from sim import golden
from sim.random_model import random_images, random_model
from tests.nas.numerics.test_integer import NETWORKS

CONFORMANCE = Path(__file__).parents[2] / "conformance"


def run(model: IntegerModel, images: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(export(model, taps=True))
    names = [each.name for each in session.get_outputs()]
    outputs = session.run(names, {IMAGES: images})
    return dict(zip(names, map(np.asarray, outputs), strict=True))


def assert_every_code_equal(model: IntegerModel, images: np.ndarray) -> None:
    expected: dict[str, np.ndarray] = {}
    output = golden.run(model, images, tensors=expected)
    found = run(model, images)
    if isinstance(model.output, Features):
        exact = features(model.output, output, model.shape.patches)
        np.testing.assert_allclose(found.pop(FEATURES), exact, rtol=1e-5, atol=1e-6)
    if model.shape.selects and model.output.pool == "all":
        expected[INDICES] = original_tokens(expected, model.shape, len(model.blocks))
    assert list(found) == list(expected)
    for name, codes in expected.items():
        np.testing.assert_array_equal(found[name], codes, err_msg=name)


@pytest.mark.parametrize("act_bits", [4, 6, 8])
@pytest.mark.parametrize("network", NETWORKS)
def test_every_code_equals_golden(network, act_bits):
    model = random_model(**NETWORKS[network], act_bits=act_bits, bits8_fraction=0.4, seed=act_bits)
    assert_every_code_equal(model, random_images(model.image, 2, seed=1))


@pytest.mark.parametrize("file", sorted(CONFORMANCE.glob("*.pulsar")), ids=lambda file: file.stem)
def test_conformance_files(file):
    arrays = dict(np.load(file.with_suffix(".npz")))
    found = run(IntegerModel.load(file), arrays.pop("images"))
    if "class" in arrays:
        assert arrays.pop("class").tolist() == found["logits"].argmax(axis=1).tolist()
    else:
        np.testing.assert_allclose(
            found.pop(FEATURES), arrays.pop("features"), rtol=1e-5, atol=1e-6
        )
    assert found.keys() == arrays.keys()
    for name, codes in arrays.items():
        np.testing.assert_array_equal(found[name], codes, err_msg=name)


@pytest.mark.parametrize("keep", [{0: 1}, {0: 9, 1: 4}, {0: 16, 1: 16}], ids=str)
def test_ties_everywhere(keep):
    model = random_model(width=16, blocks=((2, 16),) * 3, keep=keep)
    model = replace(model, position=np.zeros_like(model.position))
    images = np.zeros((2, *model.image), np.uint8)
    images[1] = 255
    assert_every_code_equal(model, images)


def test_extreme_images():
    model = random_model(seed=5)
    images = np.zeros((3, *model.image), np.uint8)
    images[1] = 255
    images[2, ::2] = 255
    assert_every_code_equal(model, images)


def test_matrices_are_multiplied_as_their_weights_allow():
    """With 6 bits, integers alone; with 8 bits, floating point where 8-bit rows are large."""
    operators = {}
    for act_bits in (6, 8):
        model = random_model(width=32, blocks=((2, 64),), act_bits=act_bits, bits8_fraction=0.5)
        nodes = NetworkWriter(model).graph.nodes
        operators[act_bits] = [n.name for n in nodes if n.op_type == "MatMul"]
    assert operators[6] == ["embed/MatMul"]  # pixels have 8 bits
    assert {"blocks.0.fc1/MatMul", "blocks.0.attention/MatMul"} <= set(operators[8])
