"""Rows of the example as ONNX files, with the figures of what was compared."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from nas.quantize.method import Method
from nas.vit import onnx
from nas.vit.photographs import CROPS, TEST
from sim import golden
from tests.nas.vit.conftest import W8A6

PUBLISHED = Path(__file__).parents[3] / "docs" / "results" / "onnx.json"


def test_every_tensor_of_every_crop_is_compared(made, tmp_path):
    example, eight = made
    fewer = eight.cost.cycles - 1  # so that some rows have 4 bits
    mixed = replace(W8A6, name="mixed", weights="mixed", cycles=fewer, method=Method())
    found = onnx.measure(example, [mixed])
    figures, model = found["mixed"], example.make(mixed).model
    expected = {}
    golden.run(model, example.test_images.numpy(), tensors=expected)
    assert (figures.images, figures.codes) == (3, sum(each.size for each in expected.values()))
    assert figures.rows_4_bits and figures.rows_8_bits and figures.model_hash == model.hash
    assert (example.folder / "mixed.onnx").stat().st_size == figures.file_bytes
    onnx.save(found, tmp_path / "onnx.json")
    written = json.loads((tmp_path / "onnx.json").read_text())
    assert written == {"schema": onnx.SCHEMA, "rows": [{"name": "mixed", **asdict(figures)}]}


def test_what_was_compared_is_kept(made, monkeypatch):
    example = made[0]
    first = onnx.measure(example, [W8A6])
    monkeypatch.setattr(onnx, "run", lambda *args, **more: pytest.fail("compared again"))
    assert onnx.measure(example, [W8A6]) == first


def test_the_published_figures():
    """At least 20 images, rows of 4 and 8 bits, files of at most three times the model's size."""
    published = json.loads(PUBLISHED.read_text())
    assert published["schema"] == onnx.SCHEMA
    rows = {row["name"]: row for row in published["rows"]}
    assert rows.keys() == {row.name for row in onnx.ROWS}
    for row in published["rows"]:
        assert row["images"] == CROPS[TEST] * 8 >= 20
        assert row["file_bytes"] <= 3 * row["model_bytes"]
    mixed = rows["mixed"]
    assert mixed["rows_4_bits"] > 1000 and mixed["rows_8_bits"] > 1000
