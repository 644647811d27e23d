"""Shared against own weights: the subnets that are chosen, what is written, and how it resumes."""

import json

import numpy as np
import pytest

from nas.studies import alone
from nas.studies.__main__ import main
from nas.training.trainer import Trainer
from rtl.cli import command


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("studies")


@pytest.fixture(scope="module")
def report(folder) -> dict:
    args = ("alone", "--quick", "--subnets", "2", "--out", str(folder))
    assert command(main, prog="python -m nas.studies", args=args) == 0
    return json.loads((folder / "alone-0.json").read_text())


def test_the_report_compares_pairs(report, folder):
    assert len(report["subnets"]) == 2 and report["quick"]
    pairs = [(each["accuracy_shared"] - each["accuracy_alone"]) for each in report["subnets"]]
    difference = report["accuracy_difference"]
    assert difference["mean"] == pytest.approx(np.mean(pairs))
    assert difference["low"] < difference["mean"] < difference["high"]
    assert len(list((folder / "supernets").glob("*.pt"))) == 3  # the supernet, and two alone


def test_a_finished_study_trains_nothing_again(report, folder, monkeypatch):
    monkeypatch.setattr(Trainer, "advance", lambda *_: pytest.fail("trained again"))
    args = ("alone", "--quick", "--subnets", "2", "--out", str(folder))
    assert command(main, prog="python -m nas.studies", args=args) == 0
    assert json.loads((folder / "alone-0.json").read_text()) == report


def test_a_folder_that_cannot_be_written_is_refused_first(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(alone, "study_data", lambda: pytest.fail("too late"))
    (tmp_path / "file").write_text("")
    args = ("alone", "--out", str(tmp_path / "file" / "runs"))
    assert command(main, prog="python -m nas.studies", args=args) == 2
    assert "Not a directory" in capsys.readouterr().err
