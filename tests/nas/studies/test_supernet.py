"""Recipes beside the one that is used: how they differ, what is written, and how it resumes."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from nas.digits import load_digits, recipe
from nas.studies import supernet
from nas.studies.__main__ import main
from nas.studies.options import StudyOptions
from nas.studies.supernet import USED, Trained, recipes
from nas.training.trainer import Trainer
from rtl.cli import command

ARGS = ("supernet", "--quick", "--subnets", "3", "--seeds", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("studies")


@pytest.fixture(scope="module")
def report(folder) -> dict:
    args = (*ARGS, "--out", str(folder))
    assert command(main, prog="python -m nas.studies", args=args) == 0
    return json.loads((folder / "supernet-0.json").read_text())


def test_each_recipe_differs_in_one_option():
    used, *others = recipes(recipe()).values()
    assert used == replace(recipe(), quantized_epochs=30) and others[-1].quantized_epochs == 60
    for other in others:
        assert sum(asdict(used)[name] != value for name, value in asdict(other).items()) == 1
    assert len({each.key(load_digits()) for each in (used, *others)}) == 7
    quick = recipes(recipe().shortened())
    assert len({json.dumps(asdict(each), sort_keys=True) for each in quick.values()}) == 6
    # Of one epoch, 1.5 times as many are two.


def test_a_better_recipe_has_a_negative_difference():
    rng = np.random.default_rng(0)
    losses = rng.uniform(0.2, 0.4, size=(2, 6, 200))
    right = losses < 0.3
    better = np.concatenate([losses[:1] - 0.05, losses[1:] - 0.01])
    found = [Trained(USED, losses, right), Trained("better", better, better < 0.3)]
    report = supernet.summarize(StudyOptions("supernet"), [0, 1], [], found)
    used, other = report["recipes"]
    assert used["difference"] is None and used["cross_entropy"] == pytest.approx(losses.mean())
    assert other["difference"] == pytest.approx({"mean": -0.03, "low": -0.03, "high": -0.03})
    assert [each["mean"] for each in other["difference_by_seed"]] == pytest.approx([-0.05, -0.01])
    assert other["difference_by_cycles"] == pytest.approx([-0.03] * 3)
    assert other["accuracy_difference"] == pytest.approx(other["accuracy"] - used["accuracy"])
    assert other["accuracy_difference"] > 0


def test_all_recipes_are_measured_on_the_same_subnets(report):
    assert [each["name"] for each in report["recipes"]] == list(recipes(recipe()))
    assert report["images"] == 34 and report["seeds"] == [0] and report["quick"]
    cycles = [each["cycles"] for each in report["subnets"]]
    assert len(cycles) == 3 and cycles == sorted(cycles)
    used = report["recipes"][0]["cross_entropy"]
    for each in report["recipes"][1:]:
        assert each["difference"]["mean"] == pytest.approx(each["cross_entropy"] - used)
        assert each["difference"]["mean"] != 0
        assert np.mean(each["difference_by_cycles"]) == pytest.approx(each["difference"]["mean"])


def test_a_finished_study_trains_nothing_again(report, folder, monkeypatch):
    monkeypatch.setattr(Trainer, "advance", lambda *_: pytest.fail("trained again"))
    args = (*ARGS, "--out", str(folder))
    assert command(main, prog="python -m nas.studies", args=args) == 0
    assert json.loads((folder / "supernet-0.json").read_text()) == report


def test_the_table_names_the_recipes(report):
    names = supernet.recipes_table(report).columns[0]._cells
    assert list(names) == [each["name"] for each in report["recipes"]]


def test_a_shorter_run_is_elastic_as_well():
    config = replace(recipe(), float_epochs=1, quantized_epochs=1)
    assert recipes(config)["elastic before quantization"].elastic_epochs == 1
