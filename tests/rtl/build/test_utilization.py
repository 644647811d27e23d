"""Vivado's reports, in the layout of the real ones."""

from pathlib import Path

import pytest

from rtl.build.synthesis import Resources
from rtl.build.utilization import read_utilization
from rtl.errors import UserError

FOLDER = Path(__file__).parent
FLAT = (FOLDER / "flat.rpt").read_text()
HIERARCHICAL = (FOLDER / "hierarchical.rpt").read_text()


def report(tmp_path, text):
    path = tmp_path / "utilization.rpt"
    path.write_text(text)
    return path


def refusal(tmp_path, text):
    path = report(tmp_path, text)
    with pytest.raises(UserError) as error:
        read_utilization(path)
    return str(error.value).removeprefix(f"{path}: ")


def test_a_flat_report(tmp_path):
    used = read_utilization(report(tmp_path, FLAT))
    assert used == Resources(dsp=2475, lut=141234, ff=198765, bram36=646.5)


def test_ultraram_of_a_device_that_has_it(tmp_path):
    flat = FLAT.replace("| Block RAM Tile", "| URAM  |   55 |\n| Block RAM Tile", 1)
    assert read_utilization(report(tmp_path, flat)).uram == 55
    text = HIERARCHICAL.replace("|      3 |    0 |         74 |", "|      3 |   16 |         74 |")
    assert read_utilization(report(tmp_path, text)).units["norm"].uram == 16


def test_a_routed_design_s_report_has_no_asterisk(tmp_path):
    text = FLAT.replace("CLB LUTs*", "CLB LUTs ")
    assert read_utilization(report(tmp_path, text)).lut == 141234


def test_a_hierarchical_report(tmp_path):
    used = read_utilization(report(tmp_path, HIERARCHICAL))
    assert used.total == Resources(dsp=2442, lut=99600, ff=12500, bram36=41.5)
    assert used.units == {
        "matmul": Resources(dsp=2368, lut=87000, ff=11000, bram36=32),
        "norm": Resources(dsp=74, lut=12600, ff=1500, bram36=9.5),
    }


def test_percentages_and_older_names(tmp_path):
    text = HIERARCHICAL.replace("DSP Blocks", "DSP48 Blocks").replace("12600 ", "12600(4.60%) ")
    assert read_utilization(report(tmp_path, text)).units["norm"].lut == 12600


def test_what_it_refuses(tmp_path):
    assert refusal(tmp_path, FLAT.replace("CLB Registers", "Slice Registers")) == (
        "no row 'CLB Registers': not Vivado's report_utilization on an UltraScale+"
    )
    assert refusal(tmp_path, "hello") == (
        "no row 'CLB LUTs': not Vivado's report_utilization on an UltraScale+"
    )
    assert refusal(tmp_path, FLAT.replace("141234", "   -  ")) == "row 'CLB LUTs': '-' is no number"
    assert refusal(tmp_path, FLAT.replace("141234", "     0")) == (
        "row 'CLB LUTs': 0, which no engine takes"
    )
    assert refusal(tmp_path, HIERARCHICAL.replace("FFs", "ABC")).startswith(
        "no column 'FFs': columns are Instance, Module, Total LUTs"
    )
    head, separator, _ = HIERARCHICAL.partition("| pulsar_zcu102     |")
    assert refusal(tmp_path, head) == "no row of the top module below the column 'Instance'"
    assert refusal(tmp_path, f"{head}{separator} (top) | 1 |\n") == (
        "row 'pulsar_zcu102' ends after 3 columns"
    )


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"none.rpt: cannot be read: .*No such file"):
        read_utilization(tmp_path / "none.rpt")
