"""A finished search, and the recipe of a task without the networks that it named."""

from pathlib import Path

import pytest

from nas.finetune.finished import load_summary, require_enough, without_networks
from nas.task.folder import record_of
from nas.task.record import NetworkRecord
from rtl.errors import UserError
from tests.nas.task.folders import fill


def test_networks_of_a_task_are_not_read_again(tmp_path):
    record = record_of(fill(tmp_path / "images"))
    network = NetworkRecord(name="gone")
    changed = {"start": network, "teacher": network, "float_epochs": 0}
    started = record.model_copy(update={"recipe": record.recipe.model_copy(update=changed)})
    plain = without_networks(started)
    assert (plain.recipe.start, plain.recipe.teacher, plain.recipe.float_epochs) == (None, None, 1)
    assert plain.data == record.data and plain.space == record.space


def test_a_damaged_summary_is_named(tmp_path):
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(UserError, match=r"summary\.json: "):
        load_summary(tmp_path)


def test_too_few_images_to_compare_on():
    require_enough(Path("run"), 2, 2)
    for counts, part in (((1, 9), "validation"), ((9, 1), "test")):
        with pytest.raises(UserError, match=f"run: 1 {part} image, too few"):
            require_enough(Path("run"), *counts)
