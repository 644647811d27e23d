"""Figures as JSON, which may stand inside a page."""

import json

import pytest

from nas.report.data import SCHEMA, embedded, report_data
from tests.nas.report import samples


def test_all_figures_are_there():
    report = samples.report()
    data = json.loads(embedded(report_data(report)))
    assert data["schema"] == SCHEMA
    assert data["title"] == samples.HOSTILE == data["measured"]["name"]
    assert data["quality"]["points"][0]["value"] == 0.97
    assert data["front"]["found"] == [list(point) for point in samples.front().found]
    assert data["noise"] == samples.noise()
    first, second = data["networks"]
    assert first["estimate"]["cycles_per_image"] == report.networks[0].estimate.cycles
    assert set(second["tile_bits"]["blocks.0.fc1"]) == {8}
    assert {4, 8} >= set(first["tile_bits"]["blocks.0.q"])


def test_nothing_ends_the_element():
    text = embedded(report_data(samples.report()))
    assert "<" not in text and ">" not in text and "&" not in text


def test_no_numbers_that_json_lacks():
    with pytest.raises(ValueError, match="not JSON compliant"):
        embedded({"value": float("nan")})
