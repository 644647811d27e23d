"""The table of a study has every variant, and what was measured of it."""

import json
from pathlib import Path

from nas.studies.quantizer_table import percent, variants_table
from nas.studies.variants import KINDS

REPORT = json.loads(
    (Path(__file__).parents[3] / "docs" / "results" / "quantizers.json").read_text()
)


def test_every_variant_has_a_row():
    columns = [column._cells for column in variants_table(REPORT).columns]
    rows = [row for row in zip(*columns, strict=True) if row[2]]
    assert [row[0] for row in rows] == [variant["name"] for variant in REPORT["variants"]]
    for row, variant in zip(rows, REPORT["variants"], strict=True):
        assert row[2] == f"{variant['alone']['rel']:.4f}"
        assert row[4] == (f"{variant['all']['rel']:.4f}" if variant["all"] else "")
        assert row[7] == (f"{variant['integer']['rel']:.4f}" if variant["integer"] else "")


def test_each_part_has_a_heading():
    first = variants_table(REPORT).columns[0]._cells
    headings = [cell for cell in first if cell.startswith("[bold]")]
    assert len(headings) == len(KINDS) + 1 and headings[1].endswith("not rotated")


def test_changes_are_in_percent():
    assert percent({"mean": 0.5, "low": -0.25, "high": 1}) == "+50.0 (-25.0..+100.0)"
    assert percent(None) == ""
