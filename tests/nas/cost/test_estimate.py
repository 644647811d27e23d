"""Estimates of a network on a board: cycles that add up, bottlenecks, clocks, caveats."""

from pathlib import Path

import pytest

from nas.cost import HardwareTarget
from nas.cost import estimate as estimates
from nas.cost.calibration import Calibration, find
from nas.cost.estimate import Estimate, caveats, error_bars, excess, extrapolated, figures
from nas.cost.networks import NamedNetwork
from rtl.board import FOLDER, load_board
from rtl.build.synthesis import Resources
from rtl.config import TINY, ULX3S, ZCU102
from rtl.model.shape import plain_vit

DIGITS = str(Path(__file__).parents[3] / "examples" / "digits.pulsar")


def test_cycles_of_an_image_add_up():
    hardware = HardwareTarget.load("sim")
    estimate = Estimate.of(hardware, NamedNetwork(DIGITS).shape_on(TINY))
    found = figures(estimate)["cycles"]
    parts = [found["multiplying"], found["draining"], *found["waiting"].values()]
    assert sum(sum(part.values()) for part in parts) == pytest.approx(estimate.cycles)
    assert figures(estimate)["fps"] == pytest.approx(100e6 / estimate.cycles)


def test_what_binds():
    """At the board's bandwidth the array; at a hundredth of it memory; for digits neither."""
    shape = plain_vit(width=192, heads=3, row_granularity=32, depth=2)
    zcu102 = HardwareTarget.load("zcu102")
    assert Estimate.of(zcu102, shape).binds.startswith("array 9")
    slow = zcu102.board.memory.model_copy(update={"gigabytes_per_second": 0.2})
    starved = HardwareTarget(zcu102.board.model_copy(update={"memory": slow}), ZCU102)
    assert Estimate.of(starved, shape).binds.startswith("memory 100.0%")
    small = plain_vit(
        image=(28, 28, 1), patch=7, width=64, heads=4, head_dim=16, depth=2, classes=10,
        row_granularity=32,
    )  # fmt: skip
    assert "waits for" in Estimate.of(zcu102, small).binds


def test_another_clock_has_other_bytes_per_cycle():
    shape = plain_vit(width=192, heads=3, row_granularity=32, depth=1)
    slow = Estimate.of(HardwareTarget.load("zcu102"), shape)
    fast = slow.at(300_000_000)
    assert fast.memory.bytes_per_cycle == pytest.approx(12.8e9 / 300e6)
    assert slow.cycles < fast.cycles < 2 * slow.cycles
    assert slow.frames_per_second < fast.frames_per_second


def test_error_bars_are_the_extremes_of_the_held_out_networks():
    board = load_board("sim")
    rows = find(board).latency.held_out
    ratios = [row.rtl / row.predicted for row in rows]
    assert error_bars(board, TINY) == (min(ratios), max(ratios))
    assert error_bars(board, ULX3S) is None


def test_no_caveat_of_a_network_like_those_of_the_calibration():
    shape = plain_vit(
        image=(32, 32, 1), patch=8, width=64, heads=2, head_dim=32, hidden=128, depth=2, classes=10,
        row_granularity=16,
    )  # fmt: skip
    hardware = HardwareTarget.load("sim")
    assert caveats(hardware, shape) == []
    assert extrapolated(hardware.engine, hardware.board) == []


def test_an_engine_that_has_changed_is_one_caveat(monkeypatch):
    monkeypatch.setattr(Calibration, "is_of", lambda self, engine: False)
    (said,) = caveats(HardwareTarget.load("sim"))
    assert "was made with another engine" in said
    others = caveats(HardwareTarget.load("sim", "ulx3s"))
    assert any("cycles of engine 'ulx3s' extrapolate" in each for each in others)


def test_an_outdated_calibration_is_a_caveat(monkeypatch):
    monkeypatch.setattr(Calibration, "outdated", lambda self, board: ["another timing model"])
    (said,) = caveats(HardwareTarget.load("sim"))
    assert "was made with another timing model" in said


def test_what_is_known_without_a_calibration_may_be_too_much(tmp_path):
    file = tmp_path / "bare.toml"
    content = (FOLDER / "zcu102.toml").read_text()
    file.write_text(content.replace('"zcu102"', '"bare"').replace("dsp = 2_520", "dsp = 10"))
    assert excess(ZCU102, load_board(str(file))) == "does not fit board 'bare': dsp 2,475 > 10"


def test_excess_by_the_resource_model(monkeypatch):
    board = load_board("zcu102")
    assert excess(ZCU102, board) is None
    many = Resources(lut=300_000)
    monkeypatch.setattr(estimates, "resources_of", lambda engine, board: many)
    assert excess(ZCU102, board) == "does not fit board 'zcu102': lut 300,000 > 274,080"
