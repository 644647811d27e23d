"""Weights that patches are chosen by, on a small network."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.importer import load
from nas.importer.network import converted
from nas.importer.selection import keeping
from nas.studies import importance
from nas.studies.importance import KEEP, WAYS, importance_of, inputs, missed, missed_table
from nas.studies.options import StudyOptions
from rtl.model.numerics import IMPORTANCE_TERM_MAX
from sim.random_model import random_images
from tests.nas.importer.tiny import MEAN, STD, export

RESULTS = Path(__file__).parents[3] / "docs" / "results"
PUBLISHED = json.loads((RESULTS / "importance.json").read_text())


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A network that keeps three of its patches, and three images."""
    source, _ = export(tmp_path_factory.mktemp("importance"))
    network = load(source, mean=MEAN, std=STD, pool="token")
    images = torch.from_numpy(random_images(network.image, 3))
    return keeping(converted(network, torch.float32), {0: 3}), images


@pytest.mark.parametrize("act_bits", [4, 6, 8])
def test_importance_is_the_share_of_the_attention_whatever_it_is_made_of(act_bits):
    """Two heads: one sees three keys alike, one the first key alone."""
    octaves = np.array([[0, 0, 0, 4095], [0, 4095, 4095, 4095]])
    for way in WAYS:
        found = importance_of(octaves, act_bits, way) / IMPORTANCE_TERM_MAX
        np.testing.assert_allclose(found, [4 / 3, 1 / 3, 1 / 3, 0], rtol=0.01, atol=0.001)


def test_rounding_makes_patches_equal_and_dither_orders_them():
    octaves = np.array([[0, *range(1900, 1920)]])  # less than half a code of 6 bits
    exact, rounded, dithered = (importance_of(octaves, 6, way)[1:] for way in WAYS)
    assert (np.diff(exact) < 0).any() and (np.diff(exact) <= 0).all()
    assert not rounded.any()
    assert (np.diff(dithered) > 0).any()


def test_all_is_counted(case):
    network, images = case
    found = missed(network, images)
    assert [(each.block, each.act_bits, each.way) for each in found] == [
        (0, bits, way) for bits in (4, 6, 8) for way in WAYS
    ]
    assert {each.keep for each in found} == {3} and {len(each.shares) for each in found} == {3}
    assert all(share * 3 == round(share * 3) for each in found for share in each.shares)
    exact = [max(each.shares) for each in found if each.way == "exact"]
    assert exact[-1] == 0


def test_the_published_figures_are_of_these_inputs():
    assert PUBLISHED["inputs"].items() >= inputs().items()
    assert (PUBLISHED["schema"], PUBLISHED["quick"], PUBLISHED["keep"]) == (1, False, KEEP)
    assert PUBLISHED["images"] == 24 and len(PUBLISHED["rows"]) == 27


def test_the_weights_before_rounding_are_fine_enough():
    """With 6 bits and more; behind rounding at least ten times as many patches are missed."""
    missing = {(row["block"], row["act_bits"], row["way"]): row for row in PUBLISHED["rows"]}
    for (block, act_bits, way), row in missing.items():
        if way == "exact":
            assert row["missed"] < (0.006 if act_bits >= 6 else 0.02)
            for other in ("rounded", "dithered"):
                assert missing[block, act_bits, other]["missed"] > 10 * row["missed"]


def test_the_page_has_these_figures():
    found = {way: [] for way in WAYS}
    for row in PUBLISHED["rows"]:
        if row["act_bits"] == 6:
            found[row["way"]].append(100 * row["missed"])
    e, w = found["dithered"], found["exact"]
    text = f"with 6 bits, {min(e):.0f} to {max(e):.0f} % are missed by e_j, block by"
    text += f" block, and {min(w):.1f} to {max(w):.1f} % by w_j"
    assert text in " ".join((RESULTS.parent / "numerics.md").read_text().split())


def test_the_study_writes_what_it_prints(case, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importance, "network_and_images", lambda *_: case)
    report = importance.run(StudyOptions("importance", out=tmp_path))
    assert json.loads((tmp_path / "importance.json").read_text()) == report
    assert (report["images"], report["quick"], len(report["rows"])) == (3, False, 9)
    assert "rounded with dither" in capsys.readouterr().out
    assert missed_table(report).row_count == 3
