"""The main job on several splits: which images it sees, its figures."""

import json

import numpy as np
import pytest

from nas.digits import digit_split
from nas.studies import splits
from nas.studies.__main__ import main
from nas.studies.options import StudyOptions
from nas.training.evaluate import Result
from rtl.cli import command


def result(loss: float, right: int, images: int = 40) -> Result:
    correct = np.arange(images) < right
    return Result(correct.astype(int), correct, np.full(images, loss))


def of_split(*losses: float, right: int = 30) -> splits.SplitAnswers:
    names = (splits.WINNER, *splits.BASELINES)
    results = {name: result(loss, right) for name, loss in zip(names, losses, strict=True)}
    return splits.SplitAnswers(9000.0, results)


def test_means_over_splits():
    runs = [[of_split(0.2, 0.3, 0.1, right=30)], [of_split(0.4, 0.5, 0.3, right=34)]]
    report = splits.summarize(StudyOptions("splits"), runs, {0: runs[0], 1: runs[1]})
    [target] = report["targets"]
    assert target["accuracy_by_split"] == [0.75, 0.85] and target["accuracy_integer"] == 0.8
    assert target["cross_entropy"] == pytest.approx(0.3)
    assert target["difference"]["uniform"] == pytest.approx(
        {"mean": -0.1, "low": -0.1, "high": -0.1}
    )
    assert report["difference"]["random"]["mean"] == pytest.approx(0.1)
    seeds = report["first_split"]
    assert seeds["seeds"] == [0, 1]
    assert seeds["targets"][0]["accuracy_by_seed"] == [0.75, 0.85]
    assert "9000" in str(splits.seeds_table(report).columns[0]._cells)
    assert "9000" in str(splits.results_table(report).columns[0]._cells)


def test_every_split_has_a_run_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(splits, "SPLITS", 2)
    args = ("splits", "--quick", "--seeds", "2", "--out", str(tmp_path))
    assert command(main, prog="python -m nas.studies", args=args) == 0
    report = json.loads((tmp_path / "splits-0.json").read_text())
    summaries = [
        json.loads((tmp_path / f"split{index}-seed0" / "summary.json").read_text())
        for index in range(2)
    ]
    keys = {summary["supernet"] for summary in summaries}
    assert len(keys) == 2  # other images, another supernet
    for index, summary in enumerate(summaries):
        for target, winner in zip(report["targets"], summary["winners"], strict=True):
            assert target["accuracy_by_split"][index] == winner["accuracy_integer"]
    assert [each["target_fps"] for each in report["targets"]] == [9100, 16000, 26000]
    other = json.loads((tmp_path / "split0-seed1" / "summary.json").read_text())
    assert other["supernet"] not in keys
    for target, winner in zip(report["first_split"]["targets"], other["winners"], strict=True):
        assert target["accuracy_by_seed"][1] == winner["accuracy_integer"]


def test_the_options_name_the_split():
    options = splits.search_options(StudyOptions("splits", workers=2), 4, 3)
    assert (options.split, options.seed, options.images, options.workers) == (4, 3, 0, 2)
    assert len({options.name, splits.search_options(StudyOptions("splits"), 4, 4).name}) == 2
    assert len(digit_split(options.split)["test"]) == 1000
