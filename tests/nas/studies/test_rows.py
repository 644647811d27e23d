"""Which rows get 8 bits, in small: what is measured, what is written, and how it resumes."""

import json
from dataclasses import replace

import numpy as np
import pytest

from nas.studies import rows
from nas.studies.options import StudyOptions
from nas.studies.rows import ENDS, SHARES, USED, WAYS, RowStudy, Way
from nas.vit import probe
from nas.vit.digits import DigitSets
from tests.nas.vit import conftest

IMAGE = 12
made = conftest.made


@pytest.fixture(scope="module")
def study(made, tmp_path_factory) -> RowStudy:
    digits = DigitSets.load(fit=60, test=30)
    example = replace(made[0], folder=tmp_path_factory.mktemp("rows"))
    return RowStudy(probe.probe_example(example, digits, IMAGE), digits)


@pytest.fixture(scope="module")
def report(made, tmp_path_factory) -> tuple[dict, StudyOptions]:
    options = StudyOptions("rows", out=tmp_path_factory.mktemp("studies"), quick=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "study_example", lambda folder, _: replace(made[0], folder=folder))
        return rows.run(options, IMAGE), options


def test_the_float_network_is_near_itself(study):
    exact = study.exact()
    np.testing.assert_allclose(exact.cosine, 1)
    assert len(exact.cross_entropy) == len(exact.correct) == 30
    found = probe.fit(study.example.network, study.digits)
    right = np.array(found["answers"]) == study.digits.test.labels.numpy()
    assert (exact.correct == right).all()


def test_more_bits_are_nearer(study):
    four, eight = (study.measure(way) for way in ENDS)
    assert four.cycles < eight.cycles
    assert four.cosine.mean() < eight.cosine.mean() < 1


def test_a_way_has_its_score_and_its_choice(study):
    default = study.choice(USED)
    for way in WAYS:
        choice = study.choice(way)
        assert (choice.choose is default.choose) == (not way.layers)
        assert (choice.scores is default.scores) == (way.score == "gauss-newton")
    assert len({way.name for way in WAYS}) == len(WAYS)


def test_every_way_is_measured_within_the_same_cycles(report):
    found, options = report
    assert json.loads((options.out / "rows-0.json").read_text()) == found
    least, most = (each["cycles"] for each in found["ends"])
    assert [budget["share"] for budget in found["budgets"]] == list(SHARES)
    for budget in found["budgets"]:
        limit = round(least + budget["share"] * (most - least))
        assert [each["name"] for each in budget["ways"]] == [way.name for way in WAYS]
        for each in budget["ways"]:
            assert least <= each["cycles"] <= limit
        used, *others = budget["ways"]
        assert used["difference"] is None
        for each in others:
            change = each["cross_entropy"] - used["cross_entropy"]
            assert each["difference"]["mean"] == pytest.approx(change)


def test_a_finished_study_is_only_read(report, made, monkeypatch):
    found, options = report
    monkeypatch.setattr(rows, "study_example", lambda folder, _: replace(made[0], folder=folder))
    monkeypatch.setattr(rows, "quantize", lambda *_, **__: pytest.fail("quantized again"))
    assert rows.run(options, IMAGE) == found


def test_another_seed_is_another_rotation(study):
    one = study.measure(Way("4 bits", "4"))
    other = replace(study, seed=1).measure(Way("4 bits", "4"))
    assert not np.array_equal(one.cross_entropy, other.cross_entropy)


def test_the_table_has_every_way(report):
    names = rows.ways_table(report[0]).columns[0]._cells
    assert set(names) == {"float", *(way.name for way in (*ENDS, *WAYS))}
