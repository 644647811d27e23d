"""Cycles by layer add up, and are all drawn."""

import re

import pytest

from nas.report.cycles import cycles_by_layer, cycles_figure
from nas.report.markup import written
from tests.nas.report.samples import estimated


def test_cycles_add_up():
    estimate = estimated()
    rows = cycles_by_layer(estimate)
    total = sum(cycles for causes in rows.values() for cycles in causes.values())
    assert total == pytest.approx(estimate.cycles, rel=2e-3)
    text = written(cycles_figure(estimate))
    assert all(f">{kind}<" in text for kind in rows)
    bars = re.findall(r"<title>(\S+), (.+?): ([\d,]+) cycles</title>", text)
    assert {(kind, cause): f"{cycles:,.0f}" for kind, causes in rows.items()
            for cause, cycles in causes.items()} == {(k, c): n for k, c, n in bars}  # fmt: skip
