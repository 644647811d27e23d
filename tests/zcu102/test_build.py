"""The ZCU102 engine on its device, by Yosys: what it takes, and levels of logic for its clock."""

import json

import pytest

from rtl.build.__main__ import PROG, main
from rtl.build.tables import LEVEL_LIMIT
from rtl.cli import command

pytestmark = pytest.mark.zcu102


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build")
    assert command(main, prog=PROG, args=("--board", "zcu102", "--out", str(folder))) == 0
    return json.loads((folder / "pulsar_zcu102.json").read_text())


@pytest.mark.parametrize(
    ("resource", "most"),
    [("dsp", 2_520), ("lut", 160_000), ("ff", 400_000), ("bram36", 800)],
)
def test_resources(report, resource, most):
    assert 0 < report[resource] <= most


def test_levels_of_logic_in_every_unit(report):
    levels = {name: unit["levels"] for name, unit in report["lut_levels"].items()}
    assert max(levels.values()) == report["max_lut_levels"] <= LEVEL_LIMIT, levels


def test_multipliers_and_scratchpads_can_use_their_own_registers(report):
    blocks = report["without_output_register"]
    assert blocks["dsp"] == blocks["dsp_without_mreg"] == 0
    bare = [
        name
        for name, counts in blocks["modules"].items()
        if counts["bram"] > counts["bram_absorbable"]
    ]
    assert all(name.startswith("pulsar_zcu102.control.") for name in bare), bare  # queues
