"""``python -m nas.explain``: what blocks a target, and the nearest designs that reach it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from nas import explain
from nas.cost import HardwareTarget
from nas.cost.feasible import NetworkDesign
from nas.cost.networks import NamedNetwork
from rtl.cli import command
from rtl.config import TINY
from sim.random_model import random_model

DIGITS = str(Path(__file__).parents[2] / "examples" / "digits.pulsar")


def run(*args: str) -> int:
    return command(explain.main, prog="python -m nas.explain", args=args)


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


# ------------------------------------------------------------ the command


def test_the_command(digits, tmp_path, capsys):
    path, image = tmp_path / "a.json", tmp_path / "a.png"
    rate = memory_bound_rate(digits)
    files = ("--json", str(path), "--out", str(image))
    assert run(DIGITS, "--board", "sim", "--fps", str(rate), *files) == 0
    report = json.loads(path.read_text())
    assert report["schema"] == 4 and report["allowed_cycles"] == pytest.approx(100e6 / rate)
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
    assert "9,600 needed, 1,024 available, 8,576 too many" in error
    assert "(engine 'ulx3s' residual_words); " in error
    assert "no other engine known to fit board 'ulx3s' runs it" in error


def test_a_network_that_selects_on_an_engine_that_does(tmp_path, capsys):
    """Found among the package's own: board sim has no limits to size one by."""
    path = str(tmp_path / "a.pulsar")
    random_model(blocks=((4, 64),) * 2, keep={0: 5}).save(path)
    assert run(path, "--board", "sim", "--fps", "100") == 2
    error = capsys.readouterr().err
    assert "engine 'tiny' selects none (select_tokens 0); take tiny_select; engine" in error
    assert "; engine tiny_select, act_bits 6, runs it: " in error and "no other" not in error


def test_what_an_engine_beyond_the_calibration_takes_is_marked(zcu102):
    """It has fewer token lanes than any engine of the calibration."""
    narrow = replace(TINY, token_lanes=2)
    design = NetworkDesign.of(NamedNetwork(DIGITS), HardwareTarget(zcu102.board, narrow))
    assert explain._costs(design).endswith(" (extrapolated)")


@pytest.mark.parametrize(
    "args, message",
    [
        ((DIGITS, "--fps", "0"), "--fps must be positive, not 0"),
        ((DIGITS, "--fps", "9", "--clock", "9"), "--clock must be from 1000000 to 1000000000 Hz"),
        (("deit_tiny", "--board", "sim", "--fps", "9"), "residual stream of 197 tokens"),
        (
            ("deit_tiny", "--board", "sim", "--fps", "9", "--image-size", "240"),
            "residual stream of 226 tokens",
        ),
    ],
)
def test_wrong_usage(args, message, capsys):
    assert run(*args) == 2
    assert message in capsys.readouterr().err
