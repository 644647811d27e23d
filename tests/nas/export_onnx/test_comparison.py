"""A file that computes something else than golden is found out."""

import onnx
import pytest
from onnx import numpy_helper

from nas.export_onnx.comparison import compare
from nas.export_onnx.export import export
from rtl.errors import ToolError
from sim import golden
from sim.random_model import random_images, random_model

SMALL = {"width": 16, "blocks": ((1, 16),), "row_granularity": 8}


def changed(content: bytes, name: str) -> bytes:
    """Double every element of a constant."""
    file = onnx.load_from_string(content)
    (constant,) = (each for each in file.graph.initializer if each.name == name)
    constant.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(constant), name))
    return file.SerializeToString()


def test_every_code_is_compared():
    model = random_model(**SMALL)
    images = random_images(model.image, 3)
    expected = {}
    golden.run(model, images, tensors=expected)
    found = compare(export(model, taps=True), model, images)
    assert (found.images, found.codes) == (3, sum(each.size for each in expected.values()))
    assert found.seconds > 0
    assert compare(export(model), model, images).codes == 3 * model.classes


def test_the_first_tensor_that_differs_is_named():
    model = random_model(**SMALL)
    images = random_images(model.image, 2)
    wrong = changed(export(model, taps=True), "blocks.0.v/weight")
    with pytest.raises(ToolError, match=r"image 1: \d+ of 272 codes of blocks.0.v differ from"):
        compare(wrong, model, images)


def test_features_are_compared():
    model = random_model(**SMALL, output="tokens")
    images = random_images(model.image, 1)
    content = export(model)
    assert compare(content, model, images).codes == model.tokens * model.width
    with pytest.raises(ToolError, match="image 1: features differ by up to"):
        compare(changed(content, "features/matrix"), model, images)


def test_indices_of_tokens_are_compared():
    sizes = {"width": 16, "blocks": ((1, 16),) * 3, "row_granularity": 8, "output": "tokens"}
    model, other = (random_model(**sizes, pool="all", keep={0: 9, 1: n}) for n in (4, 5))
    images = random_images(model.image, 2)
    content = export(model)
    assert compare(content, model, images).codes == 2 * (5 * 16 + 5)
    with pytest.raises(ToolError, match=r"image 1: blocks.2.output has shape \(1, 5, 16\)"):
        compare(content, other, images)


def test_another_models_images():
    model, other = random_model(**SMALL), random_model(**SMALL, classes=11)
    with pytest.raises(ToolError, match=r"image 1: logits has shape \(1, 10\)"):
        compare(export(model), other, random_images(model.image, 1))


def test_what_onnxruntime_refuses():
    with pytest.raises(ToolError, match="onnxruntime refuses the file"):
        compare(b"no graph", random_model(**SMALL), [])
