"""The command's job: a file, and what it was compared on."""

import onnx
import pytest

from nas.export_onnx import job
from nas.export_onnx.export import export
from rtl.errors import ToolError, UserError
from rtl.model import IntegerModel
from sim.random_model import random_model
from tests.nas.conftest import EXAMPLES

DIGITS = EXAMPLES / "digits.pulsar"


def test_compares_on_the_images_of_a_folder(tmp_path, capsys):
    out = tmp_path / "new" / "digits.onnx"
    found = job.run(DIGITS, out, folder=EXAMPLES)
    model = IntegerModel.load(DIGITS)
    assert (found.images, found.codes) == (10, 100)
    assert out.read_bytes() == export(model)
    said = capsys.readouterr().out
    assert "100 codes of 10 images: none differs" in said and "times the model's" in said


def test_without_images_on_noise(tmp_path, capsys):
    found = job.run(DIGITS, tmp_path / "a.onnx", taps=True)
    assert found.images == 1 and found.codes > 20_000
    assert "1 image: none differs" in capsys.readouterr().out
    outputs = onnx.load(tmp_path / "a.onnx").graph.output
    assert {"blocks.0.scores", "logits"} <= {each.name for each in outputs}


def test_nothing_is_written_where_codes_differ(tmp_path, monkeypatch):
    other = export(random_model(width=16, blocks=((1, 16),), row_granularity=8))
    monkeypatch.setattr(job, "export", lambda model, taps: other)
    with pytest.raises(ToolError, match="codes of logits differ from golden"):
        job.run(DIGITS, tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_where_images_are_missing(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        job.run(DIGITS, tmp_path / "new" / "a.onnx", folder=tmp_path / "none")
    assert list(tmp_path.iterdir()) == []
