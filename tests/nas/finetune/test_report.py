"""Figures of fine-tuning: after minus before, paired."""

import json

import numpy as np
import pytest

from nas.finetune.report import (
    compared,
    finetuning_table,
    has_helped,
    report_file,
    tuned_file,
    write_report,
)
from nas.training.evaluate import Result


def result(correct, losses):
    right = np.array(correct, bool)
    return Result(right.astype(int), right, np.array(losses))


BEFORE, AFTER = result([1, 0, 0, 1], [0.5, 1, 2, 0.1]), result([1, 1, 0, 1], [0.25, 0.5, 2, 0.1])


def test_differences_are_after_minus_before():
    found = compared(BEFORE, AFTER)
    assert (found["images"], found["before"]["accuracy"], found["after"]["accuracy"]) == (
        4, 0.5, 0.75,
    )  # fmt: skip
    assert found["accuracy_difference"]["mean"] == 0.25
    assert found["cross_entropy_difference"]["mean"] == pytest.approx(-0.1875)
    for difference in ("accuracy_difference", "cross_entropy_difference"):
        values = found[difference]
        assert values["low"] < values["mean"] < values["high"]


def test_a_gain_within_chance_is_no_gain():
    better = result([1, 1, 0, 1], [0.3, 0.8, 1.7, 0.05])
    assert has_helped(compared(BEFORE, better))
    mixed = result([1, 1, 0, 1], [0.3, 0.2, 2.1, 0.2])
    assert compared(BEFORE, mixed)["cross_entropy_difference"]["mean"] < 0
    assert not has_helped(compared(BEFORE, mixed))


def test_files_and_table(tmp_path):
    assert report_file(9500.0) == "finetuned-9500fps.json"
    assert tuned_file(12.5) == "finetuned-12.5fps.pulsar"
    report = {
        "target_fps": 9500.0,
        "cycles": 10484,
        "kept": "fine-tuned",
        "test": compared(BEFORE, AFTER),
    }
    write_report(tmp_path / "a.json", report)
    assert json.loads((tmp_path / "a.json").read_text()) == {"schema": 1, **report}
    cells = [next(iter(column.cells)) for column in finetuning_table([report]).columns]
    assert cells[:4] == ["9500", "10,484", "50.00", "75.00"] and cells[-1] == "fine-tuned"
    assert cells[4].startswith("+25.00 (") and cells[5].startswith("-0.1875 (")
