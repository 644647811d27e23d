"""Imported reports: they refine a calibration, and outlive a new one of the same engine."""

from pathlib import Path

import pytest

from nas.cost import HardwareTarget
from nas.cost.calibration import find
from nas.cost.estimate import Estimate
from nas.cost.plain import shape_for
from nas.cost.reports import imports, with_imports, with_power, with_utilization
from rtl.board import load_board
from rtl.config import TINY
from rtl.errors import UserError

ROOT = Path(__file__).parents[3]
UTILIZATION = ROOT / "tests" / "rtl" / "build" / "flat.rpt"
POWER = """
| Dynamic (W)              | 6.400        |
"""


@pytest.fixture
def known():
    found = find(load_board("sim"))
    assert found is not None and imports(found) == []
    return found


@pytest.fixture(scope="module")
def digits() -> Estimate:
    shape = shape_for(str(ROOT / "examples" / "digits.pulsar"), TINY)
    return Estimate.of(HardwareTarget.load("sim"), shape)


def test_counts_of_vivado_are_predicted_for_their_engine(known):
    found = with_utilization(known, TINY, [UTILIZATION])
    assert found.resource_model.predict(TINY).lut == 141_234
    assert imports(found) == ["utilization"]
    assert found.latency == known.latency and found.resources.errors == known.resources.errors


def test_energy_is_the_power_over_products_and_rate(known, digits, tmp_path):
    report = tmp_path / "power.rpt"
    report.write_text(POWER)
    found = with_power(known, digits, report)
    power = found.power_model
    joules = 6.4 / digits.frames_per_second
    assert power is not None and power.joules(digits.work.products) == pytest.approx(joules)
    assert imports(found) == ["power"]


def test_reports_outlive_a_new_calibration(known, digits, tmp_path):
    report = tmp_path / "power.rpt"
    report.write_text(POWER)
    refined = with_power(with_utilization(known, TINY, [UTILIZATION]), digits, report)
    renewed = with_imports(known, refined)
    assert renewed.power == refined.power
    assert renewed.resource_model == refined.resource_model


def test_a_report_that_cannot_be_read_is_named(known, digits, tmp_path):
    report = tmp_path / "power.rpt"
    with pytest.raises(UserError, match=r"power.rpt: cannot be read: "):
        with_power(known, digits, report)
    report.write_text("Timing summary")
    with pytest.raises(UserError, match=r"power.rpt: no report of Vivado's report_power"):
        with_power(known, digits, report)
