"""Energy from a power report, in proportion to the array's products."""

from dataclasses import replace

import pytest

from nas.cost.energy import PowerModel, energy
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


def test_energy_of_another_network_by_its_products():
    small, large = work_of(DIGITS, TINY), work_of(MEAN, TINY)
    power = PowerModel.of_report(REPORT, small, images_per_second=200.0)
    assert energy(small, power) == pytest.approx(6.4 / 200)
    assert energy(large, power) == pytest.approx(6.4 / 200 * large.products / small.products)
    assert energy(small, None) is None
    assert energy(small, PowerModel(0.0)) == 0


def test_reports_of_another_kind_are_refused():
    work = work_of(DIGITS, TINY)
    with pytest.raises(UserError, match=r"no row 'Dynamic \(W\)'"):
        PowerModel.of_report("Timing summary", work, 100.0)
    with pytest.raises(UserError, match=r"row 'Dynamic \(W\)': 0, no power of an engine"):
        PowerModel.of_report("| Dynamic (W) | 0.000 |", work, 100.0)
    with pytest.raises(UserError, match="frame rate must be positive, not 0"):
        PowerModel.of_report(REPORT, work, 0.0)
