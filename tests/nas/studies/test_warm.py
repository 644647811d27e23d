"""Starts from a trained network beside random weights: what differs, and how it resumes."""

import json
from dataclasses import asdict

import pytest

from nas.digits import recipe
from nas.importer import load
from nas.studies import warm
from nas.studies.__main__ import main
from nas.studies.options import StudyOptions
from nas.studies.warm import shortened, starts
from nas.training.trainer import Trainer
from rtl.cli import command


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("studies")


@pytest.fixture(scope="module")
def args(folder):
    return "warm", "--quick", "--subnets", "3", "--seeds", "1", "--out", str(folder)


@pytest.fixture(scope="module")
def report(folder, args) -> dict:
    assert command(main, prog="python -m nas.studies", args=args) == 0
    return json.loads((folder / "warm-0.json").read_text())


def test_starts_are_measured_beside_random_weights(report):
    first, *others = report["recipes"]
    assert first["name"] == "random weights" and first["difference"] is None
    assert len(others) == 2 and report["images"] == 34 and report["quick"]
    for each in others:
        change = each["cross_entropy"] - first["cross_entropy"]
        assert each["difference"]["mean"] == pytest.approx(change)
        assert change != 0


def test_a_finished_study_trains_nothing_again(report, folder, args, monkeypatch):
    monkeypatch.setattr(Trainer, "advance", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr("timm.models.create_model", lambda *_: pytest.fail("trained again"))
    assert command(main, prog="python -m nas.studies", args=args) == 0
    assert json.loads((folder / "warm-0.json").read_text()) == report


def test_recipes_differ_in_the_start_and_the_float_stage(report, folder):
    options = StudyOptions("warm", out=folder, quick=True)
    short = shortened(recipe())
    assert (short.float_epochs, short.quantized_epochs) == (10, 10)
    plain, start, alone = map(asdict, starts(options, recipe()).values())
    assert plain == asdict(short)
    assert {name for name in plain if plain[name] != start[name]} == {"start"}
    assert {name for name in start if start[name] != alone[name]} == {"float_epochs"}
    assert start["start"]["name"].endswith("digit-networks/quick-0")


def test_the_network_has_the_sizes_of_the_largest_subnet(report, folder):
    network = load(folder / warm.SOURCES / "quick-0")
    sizes = network.width, len(network.blocks), network.blocks[0].hidden, network.head_dim
    assert sizes == (64, 4, 256, 16) and network.image == (28, 28, 1)
