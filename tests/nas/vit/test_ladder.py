"""The ladder of ablations, in small."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nas.quantize.method import NAIVE
from nas.vit import ladder
from nas.vit.ladder import Climbed, Rung, climb, ladder_table
from rtl.console import print_tables

RUNGS = (
    Rung("naive", {}),
    Rung("aside", {"rotate": True}, stays=False),
    Rung("descended", {"rounding": "descended"}),
)


@pytest.fixture(scope="module")
def example(made, tmp_path_factory):
    return replace(made[0], folder=tmp_path_factory.mktemp("ladder"))


@pytest.fixture(scope="module")
def climbed(example):
    return climb(example, "4", RUNGS, crops=2, folds=2)


def test_each_rung_is_compared_with_the_last_one_that_stays(climbed):
    naive, aside, descended = climbed
    assert naive.before is None
    assert aside.before is naive.errors and descended.before is naive.errors
    assert all(each.errors.shape == (4,) and (each.errors > 0).all() for each in climbed)
    assert set(descended.errors).isdisjoint(naive.errors)


def test_what_is_measured_was_left_out(fresh, monkeypatch):
    images, used, measured = fresh.calibration_images, [], []

    def quantize(network, images, hardware, *, weights, method):
        used.append(images)
        return SimpleNamespace(quantized=len(used) - 1)

    def relative_error(network, fold, images):
        measured.append((fold, images))
        return 1.0 + len(measured)

    monkeypatch.setattr(ladder, "quantize", quantize)
    monkeypatch.setattr(ladder, "relative_error", relative_error)
    errors = ladder.errors_left_out(fresh, "4", NAIVE, 2, 4)
    assert np.array_equal(torch.cat([left_out for _, left_out in measured]), images)
    for fold, left_out in measured:
        assert len(used[fold]) == 6
        assert not (used[fold][:, None] == left_out[None]).flatten(2).all(2).any()
    assert errors == [2.0, 3.0, 4.0, 5.0]


def test_a_finished_ladder_is_only_read(example, climbed, monkeypatch):
    monkeypatch.setattr(ladder, "quantize", None)
    again = climb(example, "4", RUNGS, crops=2, folds=2)
    assert [list(each.errors) for each in again] == [list(each.errors) for each in climbed]


def test_change_by_hand():
    rung = Climbed(RUNGS[2], np.array([0.8, 0.9, 1.0]), np.array([1.0, 1.0, 1.0]))
    mean, low, high = rung.change
    assert mean == pytest.approx((0.8 * 0.9) ** (1 / 3) - 1)
    assert low < mean < high


def test_table_has_a_row_for_each_rung(climbed, capsys):
    print_tables(ladder_table("4", climbed))
    said = capsys.readouterr().out
    assert "(aside)" in said and f"{climbed[2].errors.mean():.4f}" in said
