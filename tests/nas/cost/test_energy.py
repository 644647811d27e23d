"""Energy from a power report, in proportion to the array's products."""

from dataclasses import replace

import pytest

from nas.cost.records import PowerModel
from rtl.compiler import lower, plan
from rtl.config import TINY
from rtl.errors import UserError
from rtl.model.shape import plain_vit
from rtl.timing.traffic import work_of

DIGITS = plain_vit(
    image=(28, 28, 1), patch=7, width=64, heads=4, head_dim=16, depth=2, classes=10,
    row_granularity=16, bits8=0.25,
)  # fmt: skip
MEAN = replace(DIGITS, mean_pool=True)
REPORT = """
| Total On-Chip Power (W)  | 7.312        |
| Dynamic (W)              | 6.400        |
| Device Static (W)        | 0.912        |
"""


@pytest.fixture
def report(tmp_path):
    file = tmp_path / "power.rpt"
    file.write_text(REPORT)
    return file


def test_energy_of_another_network_by_its_products(report):
    small, large = (work_of(lower(plan(shape, TINY))) for shape in (DIGITS, MEAN))
    power = PowerModel.of_report(report, small, images_per_second=200.0)
    assert power.joules(small.products) == pytest.approx(6.4 / 200)
    assert power.joules(large.products) / power.joules(small.products) == pytest.approx(
        large.products / small.products
    )
    assert PowerModel(joules_per_product=0.0).joules(small.products) == 0


def test_reports_of_another_kind_are_refused(report):
    work = work_of(lower(plan(DIGITS, TINY)))
    with pytest.raises(UserError, match="frame rate must be positive, not 0"):
        PowerModel.of_report(report, work, 0.0)
    report.write_text("Timing summary")
    with pytest.raises(UserError, match=r"power.rpt: no report of .*: no row 'Dynamic \(W\)'"):
        PowerModel.of_report(report, work, 100.0)
    report.write_text("| Dynamic (W) | 0.000 |")
    with pytest.raises(UserError, match=r"row 'Dynamic \(W\)': 0, no power of an engine"):
        PowerModel.of_report(report, work, 100.0)
    report.unlink()
    with pytest.raises(UserError, match=r"power.rpt: cannot be read: "):
        PowerModel.of_report(report, work, 100.0)
