"""The task that options name: a folder of images, from the command line to winners."""

import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from nas.task.opening import open_task
from nas.task.options import TaskOptions
from nas.task.record import TaskRecord
from rtl.errors import UserError
from rtl.model import IntegerModel
from tests.nas.importer.timm_models import saved
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
        "train_images": 2, "validation_images": 1, "test_images": 8,
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


def test_more_test_images_than_there_are(tmp_path, capsys):
    folder = fill(tmp_path / "bugs", 20)
    assert run(tmp_path / "runs", "--data", str(folder), "--images", "9") == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "--images must be from 0 to 8, the number of test images, not 9" in said
    assert not (tmp_path / "runs").exists()


def test_changes_of_the_recipe_are_in_the_record(tmp_path):
    options = TaskOptions(data=fill(tmp_path / "bugs", 20))
    changes = {"batch": 8, "mixup": 0.5, "float_epochs": 2}
    task = open_task(options, Console(quiet=True), changes)
    for name, value in changes.items():
        assert getattr(task.record.recipe, name) == getattr(task.recipe, name) == value
    with pytest.raises(UserError, match="the recipe: batch = 0: input should be greater than 0"):
        open_task(options, Console(quiet=True), {"batch": 0})


LARGEST: dict[str, Any] = {"embed_dim": 64, "depth": 4, "num_heads": 4, "num_classes": 2}


def test_a_network_to_start_from(tmp_path):
    """The command line's comes before the file's; the digits take one as well."""
    folder, console = fill(tmp_path / "bugs", 20), Console(quiet=True)
    (tmp_path / "one").mkdir()
    saved(tmp_path / "one", "vit_tiny_patch16_224", img_size=16, patch_size=2, **LARGEST)
    options = TaskOptions(data=folder, start=str(tmp_path / "one"))
    task = open_task(options, console)
    assert task.record and task.record.recipe.start and task.recipe.start
    assert task.record.recipe.start.name == task.recipe.start.name == str(tmp_path / "one")
    task.record.save(tmp_path / "task.toml")
    options = TaskOptions(task=tmp_path / "task.toml")
    assert open_task(options, console).recipe == task.recipe
    (tmp_path / "two").mkdir()
    grey: dict[str, Any] = {"img_size": 28, "patch_size": 7, "in_chans": 1, **LARGEST}
    saved(tmp_path / "two", "deit3_small_patch16_224", {"mean": [0.1], "std": [0.3]}, **grey)
    other = replace(options, start=str(tmp_path / "two"))
    with pytest.raises(UserError, match="two: --image-size 16 is not a multiple of the patch"):
        open_task(other, console)
    found = open_task(TaskOptions(start=str(tmp_path / "two")), console).recipe
    assert found.start and found.start.sha256 != task.recipe.start.sha256


def test_a_teacher(tmp_path):
    folder, console = fill(tmp_path / "bugs", 20), Console(quiet=True)
    (tmp_path / "one").mkdir()
    saved(tmp_path / "one", "vit_tiny_patch16_224", num_classes=2)
    teacher = str(tmp_path / "one")
    out: dict[str, Any] = {"teacher_share": 0.25}
    options = TaskOptions(data=folder, teacher=teacher, **out)
    task = open_task(options, console)
    assert task.recipe.teacher and task.recipe.teacher.name == teacher
    assert task.recipe.teacher_share == 0.25
    assert task.record
    task.record.save(tmp_path / "task.toml")
    assert open_task(TaskOptions(task=tmp_path / "task.toml"), console).recipe == (task.recipe)
    with pytest.raises(UserError, match="one has 2 classes, the task 10: a teacher must"):
        open_task(TaskOptions(teacher=teacher, **out), console)
