"""A task's file is read as it was written."""

from pathlib import Path

import pytest

from nas.task.folder import record_of
from nas.task.record import NetworkRecord, TaskRecord
from rtl.errors import UserError
from tests.nas.task.folders import fill


@pytest.fixture
def record(tmp_path):
    return record_of(fill(tmp_path / "images"))


def test_read_as_written(record, tmp_path):
    record.save(tmp_path / "task.toml")
    assert TaskRecord.load(tmp_path / "task.toml") == record
    first = (tmp_path / "task.toml").read_bytes()
    record.save(tmp_path / "task.toml")
    assert (tmp_path / "task.toml").read_bytes() == first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('mode = "RGB"', 'mode = "HSV"'), "data.mode = 'HSV': input should be 'L' or 'RGB'"),
        (("batch = 64", "batch = 0"), "recipe.batch = 0: input should be greater than 0"),
        (("batch = 64", "batches = 64"), "recipe.batches: no such field"),
        (("image_size = 16\n", ""), "data.image_size is missing"),
        (
            ("float_epochs = 600", "float_epochs = 0"),
            "recipe.float_epochs = 0: should be positive without a 'start'",
        ),
        (('policy = ""', 'policy = "best"'), "recipe.augmentation.policy = 'best': timm knows no "),
        (("crop = 1.0", "crop = 0.0"), "recipe.augmentation.crop = 0.0: "),
        (("rotation = 8.0", "rotation = inf"), "recipe.augmentation.rotation = inf: "),
    ],
)
def test_a_wrong_file(change, message, record, tmp_path):
    path = tmp_path / "task.toml"
    record.save(path)
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(UserError) as raised:
        TaskRecord.load(path)
    assert str(raised.value).startswith(f"{path}: {message}")


def test_networks_are_kept_without_their_hash(record, tmp_path):
    network = NetworkRecord(name="net", mean=(0.5,), std=(0.25,))
    recipe = record.recipe.model_copy(update={"start": network, "float_epochs": 0})
    record = record.model_copy(update={"recipe": recipe})
    record.save(tmp_path / "task.toml")
    assert TaskRecord.load(tmp_path / "task.toml") == record
    assert "checkpoint" not in (tmp_path / "task.toml").read_text()


def test_the_guide_s_task_is_one(tmp_path):
    guide = Path(__file__).parents[3] / "docs" / "imagenet.md"
    path = tmp_path / "imagenet.toml"
    path.write_text(guide.read_text().partition("```toml\n")[2].partition("```")[0])
    record = TaskRecord.load(path)
    assert record.recipe.augmentation.policy and record.data.image_size == 224
    largest = record.space.space((224, 224, 3), 16, 1000).largest()
    assert (largest.width, largest.depth) == (512, 13)
