"""The file: valid, the same bytes for the same model, small, and it says what it holds."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import checker

from nas.export_onnx import export as module
from nas.export_onnx.export import IR_VERSION, OPSET, export
from rtl.errors import UserError
from rtl.model import IntegerModel
from sim.random_model import random_images, random_model

EXAMPLE = Path(__file__).parents[3] / "examples" / "digits.pulsar"
SMALL = {"width": 16, "blocks": ((1, 16),), "row_granularity": 8}


@pytest.fixture(scope="module")
def digits() -> IntegerModel:
    return IntegerModel.load(EXAMPLE)


@pytest.mark.parametrize("taps", [True, False])
def test_the_file_is_valid_and_small(digits, taps):
    content = export(digits, taps=taps)
    file = onnx.load_from_string(content)
    checker.check_model(file, full_check=True)
    assert [(each.domain, each.version) for each in file.opset_import] == [("", OPSET)]
    assert file.ir_version == IR_VERSION
    assert {node.domain for node in file.graph.node} == {""}  # standard operators alone
    assert len(content) <= 3 * EXAMPLE.stat().st_size


def test_equal_models_give_equal_bytes(digits, tmp_path):
    digits.save(tmp_path / "again.pulsar")
    again = IntegerModel.load(tmp_path / "again.pulsar")
    assert export(again, taps=True) == export(digits, taps=True)


def test_the_metadata_are_those_of_the_model(digits):
    properties = {
        each.key: each.value for each in onnx.load_from_string(export(digits)).metadata_props
    }
    assert properties["hash"] == digits.hash
    header = json.loads(properties["pulsar"])
    assert header.pop("hash") == digits.hash
    assert header == digits.header()
    assert header["class_names"][3] == "3" and header["preprocessing"]["mode"] == "L"


def test_one_output_or_every_tensor():
    model = random_model(**SMALL, output="tokens")
    for taps, expected in ((False, {"blocks.0.output", "features"}), (True, None)):
        session = onnxruntime.InferenceSession(export(model, taps=taps))
        names = {each.name for each in session.get_outputs()}
        assert names == expected or {"pixels", "embed", "blocks.0.scores", "features"} <= names
    sizes = {each.name: each.shape for each in session.get_outputs()}
    assert sizes["blocks.0.scores"] == ["batch", 1, 17, 17]


def test_which_tokens_are_left_is_an_output():
    sizes = {**SMALL, "blocks": ((1, 16),) * 3, "output": "tokens", "registers": 1}
    for pool, expected in (("token", set()), ("all", {"features.tokens"})):
        model = random_model(**sizes, pool=pool, keep={0: 9, 1: 4})
        session = onnxruntime.InferenceSession(export(model))
        shapes = {each.name: each.shape for each in session.get_outputs()}
        assert shapes.keys() == {"blocks.2.output", "features"} | expected
    assert shapes["features.tokens"] == ["batch", 6]
    assert shapes["features"] == ["batch", 6, 16]


@pytest.mark.parametrize("more", [{"pool": "mean"}, {"blocks": ((1, 16),) * 2, "keep": {0: 3}}])
def test_any_batch(more):
    model = random_model(**SMALL | more)
    session = onnxruntime.InferenceSession(export(model))
    images = random_images(model.image, 5)
    together = np.asarray(session.run(None, {"images": images})[0])
    for image, expected in zip(images, together, strict=True):
        alone = np.asarray(session.run(None, {"images": image[None]})[0])
        np.testing.assert_array_equal(alone, expected[None])


def test_what_no_file_can_hold_is_refused(monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    with pytest.raises(UserError, match=r"bytes: an ONNX file has at most 1,000; this network"):
        export(random_model(**SMALL))
