"""Quantizers of others, on a small network: what is quantized, what is written, how it resumes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from nas.importer.forward import forward
from nas.studies import quantizers
from nas.studies.options import StudyOptions
from nas.studies.quantizers import QuantizerStudy
from nas.studies.variants import ATTENTION, HIDDEN, NORM, variants
from tests.nas.vit import conftest

made = conftest.made


@pytest.fixture(scope="module")
def study(made, tmp_path_factory) -> QuantizerStudy:
    return QuantizerStudy(replace(made[0], folder=tmp_path_factory.mktemp("quantizers")), 1)


@pytest.fixture(scope="module")
def report(made, tmp_path_factory) -> tuple[dict, StudyOptions]:
    options = StudyOptions("quantizers", out=tmp_path_factory.mktemp("studies"), quick=True)
    with pytest.MonkeyPatch.context() as patch:
        use(made, patch)
        return quantizers.run(options), options


WHOLE = ("uniform, one table", "log, adaptive base, of the largest")
"""Variants that are tried in the whole network here, beside the baselines."""


def use(made, patch: pytest.MonkeyPatch, count: int | None = None) -> None:
    """Take the small network and its pictures, each a photograph of its own, and few variants."""
    patch.setattr(
        quantizers, "quantizers_example", lambda folder, *_: (replace(made[0], folder=folder), 1)
    )
    patch.setattr(
        quantizers,
        "variants",
        lambda bits: [
            replace(each, whole=each.whole and (each.baseline or each.name in WHOLE))
            for each in variants(bits)[:count]
        ],
    )


def test_alone_only_its_kind_of_tensors_is_changed(study):
    names = {NORM: {"norm1", "norm2"}, HIDDEN: {"hidden"}, ATTENTION: {"attention"}}
    for variant in study.variants:
        network, changed = study.prepared(variant).network, set()
        tap, _ = study.tap(variant, network)

        def look(name, tensor, tap=tap, changed=changed):
            found = tap(name, tensor)
            if not torch.equal(found, tensor):
                changed.add(name.rpartition(".")[2])
            return found

        forward(network, study.example.test_images[:1], look)
        assert changed == names[variant.kind], variant.name


def test_errors_are_those_of_the_features(study):
    assert study.compared(study.expected) == {
        "rel": [0.0] * 3,
        "cos": pytest.approx([1.0] * 3),
    }
    twice = study.compared(2 * study.expected)
    assert twice["rel"] == pytest.approx([1.0] * 3) and twice["cos"] == pytest.approx([1.0] * 3)


def test_a_change_is_relative_and_paired(study):
    change = study.change([0.2, 0.1, 0.4], [0.1, 0.1, 0.4])
    assert change["mean"] == pytest.approx(2 ** (1 / 3) - 1, abs=1e-6)
    assert change["low"] <= change["mean"] <= change["high"] <= 1


def test_the_emulation_is_close_to_the_integer_model(report):
    for row in report[0]["variants"]:
        assert (row["integer"] is not None) == (row["runs"] and row["all"] is not None)
        if row["integer"]:
            assert row["integer"]["rel"] == pytest.approx(row["all"]["rel"], rel=0.25), row["name"]


def test_every_variant_is_compared_with_its_baseline(report, study):
    found, options = report
    assert json.loads((options.out / "quantizers-0.json").read_text()) == found
    rows = found["variants"]
    assert [(row["kind"], row["name"]) for row in rows] == [
        (variant.kind, variant.name) for variant in study.variants
    ]
    titles = {(row["kind"], row["name"], row["rotate"]) for row in rows}
    assert len(titles) == len(rows)
    baseline: dict = {}
    for row in rows:
        if row["baseline"]:
            baseline = row
            assert row["alone"]["change"] is None and not row["source"]
            continue
        assert (row["kind"], row["rotate"]) == (baseline["kind"], baseline["rotate"])
        for way in filter(row.get, ("alone", "all", "integer")):
            change = row[way]["change"]
            assert change["low"] <= change["mean"] <= change["high"]
            assert 0 < row[way]["rel"] < 1 and 0 < row[way]["cos"] <= 1
    used = [row["all"] for row in rows if row["baseline"] and row["rotate"]]
    assert len(used) == 3 and used[0] == used[1] == used[2]


def test_an_interrupted_study_has_what_it_measured(report, made, monkeypatch, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    use(made, monkeypatch, count=4)
    monkeypatch.setattr(quantizers, "quantize_network", interrupted)
    options = replace(report[1], out=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        quantizers.run(options)
    found = json.loads((tmp_path / "quantizers-0.json").read_text())
    assert report[0]["complete"] and not found["complete"]
    assert len(found["variants"]) == 4
    for row, whole in zip(found["variants"], report[0]["variants"], strict=False):
        assert row == whole | {"all": None, "integer": None}


def test_only_what_is_not_rotated_is_compared_with_two_baselines(report):
    for row in report[0]["variants"]:
        changes = row["alone"]["change"], row["alone"]["against_used"]
        if row["rotate"]:
            assert changes[0] == changes[1]
        else:
            assert changes[1] is not None and changes[0] != changes[1]


def test_tables_are_chosen_block_by_block(report, made):
    blocks = len(made[0].network.blocks)
    for row in report[0]["variants"]:
        tables = (bool(row["source"]) and row["kind"] != NORM) or row["name"] == "uniform, rounded"
        assert len(row["chosen"]) == (blocks if tables else 0), row["name"]


def test_a_finished_study_is_only_read(report, made, monkeypatch):
    found, options = report
    use(made, monkeypatch)
    monkeypatch.setattr(
        quantizers, "quantize_network", lambda *_, **__: pytest.fail("quantized again")
    )
    assert quantizers.run(options) == found


def test_another_seed_is_another_rotation(study):
    first = study.variants[0]
    one, other = (each.alone(first)["alone"]["rel"] for each in (study, replace(study, seed=1)))
    assert not np.allclose(one, other)
