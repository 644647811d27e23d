"""A folder of images, from the command line to winners; options that do not go together."""

import json

import pytest

from nas.task.record import TaskRecord
from rtl.model import IntegerModel
from tests.nas.search.runs import run
from tests.nas.task.folders import fill


def test_a_folder_becomes_winners(tmp_path, capsys):
    """Twice: by the folder, then by the task that the first run wrote down."""
    folder, out = fill(tmp_path / "bugs", 20, size=(20, 16)), tmp_path / "runs"
    assert run(out, "--data", str(folder), "--patch", "4") == 0
    assert f"{folder}: 2 classes; images: 28 train" in capsys.readouterr().err
    summary = json.loads((out / "bugs" / "summary.json").read_text())
    assert summary["task"] == {
        "folder": str(folder), "split": None, "image": [16, 16, 3], "patch": 4, "classes": 2,
        "train_images": 4, "validation_images": 1, "test_images": 8,
    }  # fmt: skip
    model = IntegerModel.load(out / "bugs" / summary["winners"][0]["model"])
    assert model.class_names == ("ant", "bee") and model.image == (16, 16, 3)
    assert len(json.loads((out / "bugs" / "split.json").read_text())["test"]) == 8
    task = out / "bugs" / "task.toml"
    assert TaskRecord.load(task).data.folder == str(folder)
    again = tmp_path / "again.toml"
    again.write_bytes(task.read_bytes())
    assert run(out, "--task", str(again)) == 0
    other = json.loads((out / "again" / "summary.json").read_text())
    assert other["winners"] == summary["winners"] and other["supernet"] == summary["supernet"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "a", "--task", "b.toml"], "--data and --task exclude each other"),
        (["--space", "tiny"], "--space needs --data: the digits and a task have their own"),
        (["--task", "b.toml", "--patch", "4"], "--patch needs --data: the digits and a task"),
        (["--data", "a", "--image-size", "0"], "--image-size must be from 1 to 4096, not 0"),
        (["--data", "a", "--split", "1"], "--split is of the digits: a folder has its own parts"),
        (["--skip-unreadable"], "--skip-unreadable needs --data or --task"),
        (["--data", "none"], "none: no such folder"),
        (["--task", "none.toml"], "No such file or directory: none.toml"),
    ],
)
def test_refused(arguments, message, tmp_path, capsys):
    assert run(tmp_path, *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line and not any(tmp_path.iterdir())


def test_more_test_images_than_there_are(tmp_path, capsys):
    folder = fill(tmp_path / "bugs", 20)
    assert run(tmp_path / "runs", "--data", str(folder), "--images", "9") == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "--images must be from 0 to 8, the number of test images, not 9" in said
    assert not (tmp_path / "runs").exists()
