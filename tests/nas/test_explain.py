"""``python -m nas.explain``: what blocks a target, and the nearest designs that reach it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from nas import explain
from nas.cost import HardwareTarget
from nas.cost import estimate as estimates
from nas.cost.estimate import Estimate, extrapolated
from nas.cost.feasible import (
    Design,
    candidate_engines,
    clock_needed,
    fits,
    lower_precision,
    other_engine,
)
from nas.cost.plain import shape_for
from rtl.board import load_board
from rtl.build.synthesis import Resources
from rtl.cli import command
from rtl.config import ENGINES, TINY, ULX3S, ZCU102, ZCU102_A4, ZCU102_A8

DIGITS = str(Path(__file__).parents[2] / "examples" / "digits.pulsar")
WIDE_PORT = """
name = "wide"
device = "verilator"
clock_hz = 100_000_000
engine = "TINY"

[memory]
gigabytes_per_second = 100.0
latency_cycles = 20
ports = 4
port_bits = 128
"""


def run(*args: str) -> int:
    return command(explain.main, prog="python -m nas.explain", args=args)


@pytest.fixture(scope="module")
def zcu102() -> HardwareTarget:
    return HardwareTarget.load("zcu102")


@pytest.fixture(scope="module")
def deit_tiny(zcu102) -> Estimate:
    return Estimate.of(zcu102, shape_for("deit_tiny", zcu102.engine))


@pytest.fixture(scope="module")
def digits() -> Estimate:
    hardware = HardwareTarget.load("sim")
    return Estimate.of(hardware, shape_for(DIGITS, hardware.engine))


@pytest.fixture
def wide(tmp_path) -> HardwareTarget:
    """Board sim with memory that TINY cannot exhaust."""
    path = tmp_path / "wide.toml"
    path.write_text(WIDE_PORT)
    return HardwareTarget.load(str(path), "tiny")


# ------------------------------------------------------------ what blocks a target


def test_the_array_blocks(deit_tiny):
    fps = 150e6 / 153_000
    assert explain.obstacle(deit_tiny, fps) == (
        "Blocked by the array: even without any wait 153,096 cycles are needed, 153,000 allowed."
    )


def test_drain_and_waits_block_what_the_array_could_reach(deit_tiny):
    drain = explain.obstacle(deit_tiny, 150e6 / 153_200)
    assert drain == "Blocked by the drain: 153,459 cycles are needed, 153,200 allowed."
    text = explain.obstacle(deit_tiny, 150e6 / 154_000)
    assert re.match(r"Blocked by waits: [\d,]+ cycles too many; .* most of all for \w+", text)


def memory_bound_rate(estimate):
    """A rate that the array would reach and memory does not."""
    least = estimate.least_cycles
    assert least["array"] < least["memory"]
    return round(2 * estimate.board.clock_hz / (least["array"] + least["memory"]))


def test_memory_blocks(digits):
    rate = memory_bound_rate(digits)
    text = explain.obstacle(digits, rate)
    needed = digits.work.bytes * rate / 100e6
    assert text == f"Blocked by memory: {needed:.1f} bytes per cycle needed, 16.0 available."


def test_nothing_blocks(digits):
    text = explain.obstacle(digits, 10_000)
    assert text.startswith("Reached: ") and f"{10_000 - digits.cycles:,.0f} cycles to spare" in text


# ------------------------------------------------------------ the nearest designs


def test_the_highest_fraction_of_8_bit_rows_that_reaches_the_target(zcu102):
    fps = 800
    design = lower_precision("deit_tiny", zcu102, 0.5, fps)
    assert design.reaches(fps) and 0 < design.wide < 0.5
    more = Estimate.of(zcu102, shape_for("deit_tiny", zcu102.engine, design.wide + 0.05))
    assert not Design(design.wide + 0.05, more).reaches(fps)


def test_fewer_8_bit_rows_do_not_always_help(zcu102):
    design = lower_precision("deit_tiny", zcu102, 0.1, 2_000)
    assert design.wide == 0 and not design.reaches(2_000)
    assert lower_precision("deit_tiny", zcu102, 0.0, 2_000) is None
    assert lower_precision(DIGITS, HardwareTarget.load("sim"), 0.0, 1e6) is None


def test_candidates_for_a_board_have_its_multipliers(monkeypatch):
    """ULX3S is made of other ones than the ZCU102 has."""
    monkeypatch.setattr(estimates, "resources_of", lambda engine, board: None)
    engines = candidate_engines(load_board("zcu102"))
    assert {engine.name for engine in engines} == {"tiny", "zcu102", "zcu102_a4", "zcu102_a8"}
    assert candidate_engines(load_board("ulx3s")) == [ULX3S]


def test_candidates_have_room_as_far_as_it_is_known(monkeypatch):
    def known(engine, board):
        return Resources(lut=300_000 if engine is ZCU102_A4 else 200_000)

    monkeypatch.setattr(estimates, "resources_of", known)
    engines = candidate_engines(load_board("zcu102"))
    assert ZCU102_A4 not in engines and ZCU102_A8 in engines


def test_the_first_engine_that_reaches_the_target(wide):
    """Of the package: the board has neither limits nor a calibration."""
    fps = 1.2 * Estimate.of(wide, shape_for(DIGITS, wide.engine)).frames_per_second
    design = other_engine(DIGITS, wide, 0.0, fps).design
    assert design is not None and design.reaches(fps)
    assert design.estimate.engine == ZCU102
    found = other_engine(DIGITS, wide, 0.0, 1e9)
    assert not found.design.reaches(1e9)
    assert found.reason and "a free engine needs a board with limits" in found.reason


def test_an_engine_made_to_measure(zcu102):
    """The package has none but the board's own with its act_bits that reaches the rate."""
    found = other_engine("deit_tiny", zcu102, 0.0, 600)
    engine, hardware = found.design.estimate.engine, found.design.estimate.hardware
    assert engine not in ENGINES.values() and engine.act_bits == zcu102.engine.act_bits
    assert fits(engine, zcu102.board) and not extrapolated(engine, zcu102.board)
    exact = Estimate.of(hardware, shape_for("deit_tiny", engine))
    assert found.design.reaches(600) and found.design.estimate.cycles == exact.cycles
    assert engine.products < zcu102.engine.products


def test_the_fastest_engine_where_none_reaches_the_target(zcu102):
    found = other_engine(DIGITS, zcu102, 0.0, 1e9)
    rate = found.design.estimate.frames_per_second
    assert found.reason is None
    assert rate >= other_engine(DIGITS, zcu102, 0.0, 10_000).design.estimate.frames_per_second


def test_no_engine_for_what_none_can_run(zcu102):
    found = other_engine("vit_huge_patch14_224", zcu102, 0.0, 1)
    assert found.design is None
    assert found.reason and "width: 1,280 needed, 1,024 available" in found.reason


def test_the_slowest_clock_that_reaches_the_target(deit_tiny):
    clock = clock_needed(deit_tiny, 1_500)
    assert clock and deit_tiny.at(clock).frames_per_second >= 1_500
    assert deit_tiny.at(clock - 1_000_000).frames_per_second < 1_500


def test_no_clock_helps_where_memory_does_not_suffice(digits):
    assert 1.6e9 / digits.work.bytes < 15_000
    assert clock_needed(digits, 15_000) is None


# ------------------------------------------------------------ the command


def test_the_command(digits, tmp_path, capsys):
    path, image = tmp_path / "a.json", tmp_path / "a.png"
    rate = memory_bound_rate(digits)
    files = ("--json", str(path), "--out", str(image))
    assert run(DIGITS, "--board", "sim", "--fps", str(rate), *files) == 0
    report = json.loads(path.read_text())
    assert report["schema"] == 3 and report["allowed_cycles"] == pytest.approx(100e6 / rate)
    assert report["obstacle"].startswith("Blocked by memory")
    assert [step["design"] for step in report["nearest"]] == [None, None]
    assert report["roofline"]["scores"]["macs_per_byte"] is None
    assert image.stat().st_size > 10_000
    out = capsys.readouterr().out
    assert "Blocked by memory" in out and "no clock is fast enough" in out
    assert max(map(len, out.splitlines())) <= 110


@pytest.mark.parametrize("clock_hz", [150_000_000, 400_000_000])
def test_rows_and_columns_of_the_table_add_up(deit_tiny, clock_hz, capsys):
    """At the faster clock the images' ends differ, and a cell is negative."""
    estimate = deit_tiny.at(clock_hz)
    explain.show(explain.cycles_table(estimate, 900, "title"))
    found = {}
    for line in capsys.readouterr().out.splitlines():
        kind, *cells = line.split() or [""]
        if kind in (*estimate.breakdown.multiplying, "end", "image"):
            numbers = [cell.replace(",", "") for cell in cells if "%" not in cell]
            found[kind] = [0 if cell == "-" else int(cell) for cell in numbers]
    image = found.pop("image")
    assert image[0] == round(estimate.cycles) == pytest.approx(sum(image[1:]), abs=len(image))
    for column, total in zip(zip(*found.values(), strict=True), image, strict=True):
        assert sum(column) == pytest.approx(total, abs=len(found))


def test_another_clock(tmp_path):
    path = tmp_path / "a.json"
    args = (DIGITS, "--board", "sim", "--fps", "100", "--clock", "50000000", "--json", str(path))
    assert run(*args) == 0
    report = json.loads(path.read_text())
    assert (report["clock_hz"], report["nearest"]) == (50_000_000, [])
    assert report["allowed_cycles"] == 500_000


def test_a_refused_network_on_another_engine(tmp_path, capsys):
    """Of a file's act_bits, whatever the board's engine has."""
    path = tmp_path / "a.json"
    args = (DIGITS, "--engine", "zcu102_a8", "--fps", "30000", "--json", str(path))
    assert run(*args) == 2
    captured = capsys.readouterr()
    report = json.loads(path.read_text())
    refusal = "model has act_bits 6, engine 'zcu102_a8' 8"
    assert report["refusal"] == refusal
    assert report["estimate"] is report["obstacle"] is report["roofline"] is None
    (step,) = report["nearest"]
    design = step["design"]
    assert design["fps"] >= 30_000 and design["engine"]["act_bits"] == 6
    assert step["text"].startswith(f"engine {design['engine']['name']}, act_bits 6, runs it: ")
    assert f"{design['cycles_per_image']:,.0f} cycles" in step["text"]
    assert f"dsp {design['resources']['dsp']:,}" in step["text"]
    assert captured.err == f"python -m nas.explain: error: {refusal}; {step['text']}\n"
    assert captured.out == ""


def test_a_refused_network_and_a_target_out_of_reach(capsys):
    assert run(DIGITS, "--engine", "zcu102_a8", "--fps", "1e9") == 2
    assert capsys.readouterr().err.endswith("; none known reaches the target\n")


def test_a_network_that_no_engine_of_the_board_runs(capsys):
    assert run("vit_base_patch16_224", "--board", "ulx3s", "--fps", "30") == 2
    error = capsys.readouterr().err
    assert "4,800 needed, 1,280 available, 3,520 too many" in error
    assert "(engine 'ulx3s' residual_words); " in error
    assert "no other engine known to fit board 'ulx3s' runs it" in error


def test_what_an_engine_beyond_the_calibration_takes_is_marked(zcu102):
    """It has fewer token lanes than any engine of the calibration."""
    narrow = replace(TINY, token_lanes=2)
    design = Design(
        0.0, Estimate.of(HardwareTarget(zcu102.board, narrow), shape_for(DIGITS, narrow))
    )
    assert explain._costs(design).endswith(" (extrapolated)")


@pytest.mark.parametrize(
    "args, message",
    [
        ((DIGITS, "--fps", "0"), "--fps must be positive, not 0"),
        ((DIGITS, "--fps", "9", "--clock", "9"), "--clock must be from 1000000 to 1000000000 Hz"),
        (("deit_tiny", "--board", "sim", "--fps", "9"), "residual stream of 197 tokens"),
    ],
)
def test_wrong_usage(args, message, capsys):
    assert run(*args) == 2
    assert message in capsys.readouterr().err
