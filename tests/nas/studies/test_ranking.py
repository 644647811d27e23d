"""Scores held against the test: what is ranked, how, and what is written."""

import json

import numpy as np
import pytest

from nas.digits import DIGITS
from nas.search.band import Band
from nas.studies import ranking
from nas.studies.__main__ import main
from rtl.cli import command
from tests.nas.search.toy import EXACT, cycles


def test_uniform_subnets_come_first_and_none_twice():
    archs, uniform = ranking.candidates(Band(DIGITS, EXACT, 1500.0), 40, seed=0)
    assert uniform == 16 and len(set(archs)) == len(archs) == 40
    assert all(len(set(arch.blocks)) == 1 for arch in archs[:16])
    assert all(1300 < cycles(arch) <= 1500 for arch in archs)


def test_a_score_that_orders_as_the_test_does_has_tau_one():
    rng = np.random.default_rng(0)
    losses = list(rng.random(40))
    scores = [{"same": 2 * each, "other": float(rng.random())} for each in losses]
    scores[:10] = [{"same": -each["same"], "other": each["other"]} for each in scores[:10]]
    found = ranking.agreement(16000.0, scores, losses, uniform=10)
    assert found.among_random["same"].low == pytest.approx(1)
    assert found.overall["same"].high < 1
    other = found.among_random["other"]
    assert other.low < other.tau < 0.6 and other.tau < other.high
    assert (found.subnets, found.random_subnets) == (40, 30)


def test_the_study_writes_every_score(tmp_path):
    args = "ranking", "--quick", "--ranked", "32", "--targets", "16000", "--out", str(tmp_path)
    assert command(main, prog="python -m nas.studies", args=args) == 0
    report = json.loads((tmp_path / "ranking-0.json").read_text())
    [target] = report["targets"]
    assert target["target_fps"] == 16000 and target["subnets"] == 32
    assert len(target["overall"]) == 4
    for value in target["overall"].values():
        assert -1 <= value["low"] <= value["tau"] <= value["high"] <= 1


def test_a_frame_rate_out_of_reach_is_one_line(tmp_path, capsys):
    args = "ranking", "--targets", "9e9", "--out", str(tmp_path)
    assert command(main, prog="python -m nas.studies", args=args) == 2
    assert capsys.readouterr().err.count("no subnet reaches") == 1


def test_the_table_shows_each_score():
    losses = list(np.random.default_rng(0).random(40))
    found = ranking.agreement(16000.0, [{"score": each} for each in losses], losses, 16)
    columns = ranking.agreement_table([found]).columns
    assert list(columns[1].cells) == ["score"]
    assert list(columns[2].cells) == ["1.00 (1.00..1.00)"]
