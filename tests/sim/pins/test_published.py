"""docs/results/silicon.json is of what lies in the repository, and says what a proof must say."""

import json
from pathlib import Path

import pytest

from rtl.config import ULX3S
from rtl.model import IntegerModel
from sim import golden
from sim.pins.top import rtl_hash
from tests.documented import found, keys
from tests.documented import section as page
from tests.sim.pins import published
from tests.sim.pins.proof import problems
from tests.sim.pins.published import (
    DIGITS,
    PICTURES,
    RESULTS,
    cheap_inputs,
    digits,
    merge,
    netlist_section,
    routed_section,
    verilog_hash,
)

REMEDY = "nox -s silicon makes it anew"


@pytest.fixture(scope="module")
def section() -> dict:
    return json.loads(RESULTS.read_text())["pins"]


@pytest.fixture(scope="module")
def silicon() -> dict:
    return json.loads(RESULTS.read_text())


def test_inputs_are_those_of_now(section):
    """The Verilog is emitted, for half a minute, only where the source has changed."""
    found, now = dict(section["inputs"]), cheap_inputs()
    verilog = found.pop("verilog")
    if found.pop("source") != now.pop("source"):
        assert verilog == verilog_hash(), f"the top's Verilog has changed: {REMEDY}"
    changed = [name for name in now if found.get(name) != now[name]]
    assert found.keys() == now.keys() and not changed, f"{changed} have changed: {REMEDY}"


def test_the_proof_holds(section):
    assert problems(section) == []
    assert (section["digits"]["images"], section["digits"]["outputs"]) == (16, 160)
    assert section["digits"]["region_bytes"] != section["other"]["region_bytes"]
    assert section["damaged"]["right"] == section["damaged"]["runs"] == 10
    assert section["damaged"]["repeats"] >= 5


def test_the_top_is_placed_and_routed_fast_enough(silicon):
    routed = silicon["routed"]
    require_top(routed["inputs"])
    assert len({each["seed"] for each in routed["seeds"]}) >= 3
    for each in routed["seeds"]:
        assert each["timing_met"] and each["fmax_mhz"] >= 60 > each["clock_mhz"]


def test_a_digit_on_the_netlist(silicon):
    netlist = silicon["netlist"]
    require_top(netlist["inputs"])
    assert (netlist["wrong_outputs"], netlist["wifi_gpio0"]) == (0, 1)
    assert netlist["model_in_block_ram"] and netlist["deviation"] <= 0.01
    model = IntegerModel.load(DIGITS)
    seven = next(i for i, path in enumerate(PICTURES) if path.name == "digit-7.png")
    assert netlist["values"] == golden.run(model, digits()[seven : seven + 1]).tolist()


def require_top(inputs: dict) -> None:
    """Check that a section is of the top as it is; emitted only where the source has changed."""
    assert inputs["engine"] == f"{ULX3S.hash:016x}"
    if inputs["source"] != rtl_hash():
        assert inputs["verilog"] == verilog_hash(), "the top has changed: docs/ulx3s.md, Proof"


def test_another_engine_is_no_part_of_a_section():
    said = rf"^the engine is {ULX3S.hash:016x}, not 0{{16}}: do it anew$"
    with pytest.raises(ValueError, match=said):
        netlist_section({"engine": "0" * 16})
    with pytest.raises(ValueError, match=said):
        routed_section([{"engine": {"hash": "0" * 16}}])


def test_the_page_names_every_figure():
    known = keys("Silicon")
    assert set(found(json.loads(RESULTS.read_text()), known)) == known
    assert f"| `schema` | {published.SCHEMA} |" in page("Silicon")


GOOD = {
    "digits": {"wrong_outputs": 0, "deviation": 0.005},
    "other": {"wrong_outputs": 0, "deviation": 0.01},
    "damaged": {"wrong": 0, "failed": 0, "bytes": 20, "bytes_in_load": 4},
    "wifi_gpio0": 1,
}


@pytest.mark.parametrize(
    ("part", "change", "said"),
    [
        ("digits", {"wrong_outputs": 1}, "digits: 1 outputs differ from golden"),
        ("other", {"deviation": 0.0101}, "other: cycles are 1.01% off the prediction"),
        ("damaged", {"wrong": 1}, "damaged: 1 runs wrong, 0 failed"),
        ("damaged", {"failed": 2}, "damaged: 0 runs wrong, 2 failed"),
        ("damaged", {"bytes": 19}, "damaged: only 19 bytes, 4 in the load"),
        ("damaged", {"bytes_in_load": 0}, "damaged: only 20 bytes, 0 in the load"),
    ],
)
def test_what_a_proof_must_not_say(part, change, said):
    assert problems(GOOD) == []
    assert problems(GOOD | {part: GOOD[part] | change}) == [said]
    assert problems(GOOD | {"wifi_gpio0": 0}) == ["wifi_gpio0 is not 1"]


def test_sixteen_digits():
    assert digits().shape == (16, 28, 28, 1)
    assert len({image.tobytes() for image in digits()}) == 16


def test_every_input_counts(monkeypatch):
    before = cheap_inputs()
    monkeypatch.setattr(published, "rtl_hash", lambda: "0")
    monkeypatch.setattr(published, "digits", lambda: digits()[:15])
    monkeypatch.setattr(published, "MODELS", {"other": published.OTHER})
    after = cheap_inputs()
    same = {name for name in before if before[name] == after[name]}
    assert same == {"engine"}


def test_a_section_leaves_the_others_as_they_are(tmp_path):
    path = Path(tmp_path, "silicon.json")
    merge("netlist", {"clock_mhz": 50}, path)
    merge("pins", {"wifi_gpio0": 1}, path)
    merge("netlist", {"clock_mhz": 60}, path)
    assert json.loads(path.read_text()) == {
        "schema": published.SCHEMA,
        "pins": {"wifi_gpio0": 1},
        "netlist": {"clock_mhz": 60},
    }
    assert list(json.loads(path.read_text())) == ["schema", "pins", "netlist"]
    with pytest.raises(ValueError, match=r"^'rtl' is no section: pins, routed, netlist$"):
        merge("rtl", {}, path)
