"""All figures, in small; and that they are resumed."""

from dataclasses import replace

import numpy as np
import pytest

from nas.quantize.method import NAIVE
from nas.vit import figures, job
from nas.vit.digit_network import DigitRecipe
from nas.vit.digits import DigitSets
from nas.vit.example import Example
from nas.vit.inputs import input_hashes
from nas.vit.rows import Row, RowJob
from nas.vit.summary import VitSummary
from tests.nas.vit.conftest import W8A6

W4A6 = Row("w4a6", "4", engine="tiny")


@pytest.fixture(scope="module")
def measured(made, tmp_path_factory) -> tuple[Example, VitSummary, tuple[Row, ...]]:
    """The summary of a run in small, its rows, and where it lies."""
    example = replace(made[0], folder=tmp_path_factory.mktemp("figures"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RowJob, "run", RowJob.here)
        patch.setattr(figures, "CHANCES", range(1))
        ends = [example.make(row).cost.cycles for row in (W8A6, W4A6)]
        half = Row("half", "mixed", sum(ends) // 2, "tiny")
        rows = (Row("w8a8", engine="tiny"), W8A6, half, W4A6)
        shown = job.show(example, example.make(W8A6), example.test[:1])
        return example, measure(example, shown, rows), rows


def measure(example: Example, shown: list[job.ShownPicture], rows: tuple[Row, ...]) -> VitSummary:
    digits = DigitSets.load(train=50, fit=60, test=20)
    digits = replace(digits, calibration=digits.calibration.take(range(8)))
    recipe = DigitRecipe(epochs=1)
    return figures.measure(example, shown, rows=rows, digits=digits, recipe=recipe, image=12)


def test_every_figure_is_there(measured):
    _, summary, rows = measured
    assert [row.name for row in summary.rows] == [row.name for row in rows]
    by_name = {row.name: row for row in (*summary.rows, *summary.baselines)}
    assert by_name["w4a6"].rel > by_name["half"].rel > by_name["w8a6"].rel > 0
    assert by_name["w4a6"].cycles < by_name["half"].cycles < by_name["w8a6"].cycles
    assert by_name["w4a6_naive"].rel > by_name["w4a6"].rel
    assert 0 < summary.import_error < 1e-4
    noise = summary.noise
    assert noise.root_of_squares == pytest.approx(
        sum(value**2 for value in noise.sources.values()) ** 0.5
    )
    assert noise.total == pytest.approx(by_name["w8a6"].rel, rel=0.1)
    assert [row.name for row in summary.probe] == ["w8a8", "w8a6", "w4a6"]
    assert [row.name for row in summary.digits.rows] == ["w8a6", "mixed", "w4a6"]
    assert (summary.rtl_images, summary.rtl_mismatches) == (1, 0)
    assert summary.inputs == input_hashes()


def test_chance_differs_in_the_tiles_alone(measured):
    example, summary, rows = measured
    half = example.make(rows[2])
    (row,) = figures.random_rows(half, {row.name: row for row in rows})[:1]
    assert row.method is not None and row.method.chance == 0
    assert replace(row.method, chance=None) == type(NAIVE)(**half.model.info["method"])
    (random,) = summary.random_tiles
    assert random.cycles <= rows[2].cycles
    assert summary.random_ratio == pytest.approx(summary.rows[2].rel / random.rel)


def test_a_finished_run_is_only_read(measured, monkeypatch):
    example, summary, rows = measured
    monkeypatch.setattr(figures, "CHANCES", range(1))
    monkeypatch.setattr(RowJob, "run", lambda self: pytest.fail(f"{self.row.name} is done"))
    again = replace(example)
    shown = job.show(again, again.make(W8A6), again.test[:1])
    assert measure(again, shown, rows) == summary


def test_tables_show_the_figures(measured, capsys):
    _, summary, _ = measured
    figures.show(summary)
    said = capsys.readouterr().out
    for name in ("w8a8_naive", "half_random_0", "linear probe", "small ViT", "mixed"):
        assert name in said
    assert f"{summary.rows[1].cos:.4f}" in said and f"{summary.random_ratio:.2f}" in said
    assert np.isfinite(summary.random_ratio)
