"""The way to a bitstream through the command: what it writes, what it says, what it refuses."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from rtl.build import __main__ as build
from rtl.build import bitstream, route
from rtl.build.__main__ import PROG, main
from rtl.build.bitstream import summary
from rtl.build.route import Routed
from rtl.cli import command
from rtl.config import ULX3S
from rtl.soc.memory import LEAST_WORDS
from tests.rtl.build.test_route import Blinker
from tests.rtl.sizes import SMALL


class BlinkerTop(Blinker):
    """A board's top module takes an engine and memory; this one has a use for the memory alone."""

    def __init__(self, engine, words):
        assert engine is SMALL
        super().__init__(words)


@pytest.fixture
def small_top(monkeypatch):
    """A counter in place of the engine, for which the same tools take seconds."""
    top = replace(bitstream.TOPS["ulx3s"], component=BlinkerTop, memory_words=LEAST_WORDS)
    monkeypatch.setitem(bitstream.TOPS, "ulx3s", top)
    monkeypatch.setitem(build.config.ENGINES, "small", SMALL)


def run(*args):
    return command(
        main,
        prog=PROG,
        args=("--board", "ulx3s", "--engine", "small", "--no-synthesis", *args),
    )


def test_a_bitstream_and_its_report(small_top, tmp_path, capsys):
    assert run("--out", str(tmp_path), "--seed", "7") == 0
    assert (tmp_path / "pulsar_small.bit").stat().st_size > 100_000
    assert (tmp_path / "pulsar_small_bitstream" / "design.config").is_file()
    report = json.loads((tmp_path / "pulsar_small.json").read_text())
    found = report["bitstream"]
    assert (found["clock_mhz"], found["seed"], found["timing_met"]) == (50, 7, True)
    assert found["fmax_mhz"] > 50
    options = found["options"]  # the tool aims higher, so that it looks for shorter ways
    assert options[options.index("--freq") + 1] == "62" and "--tmg-ripup" in options
    log = (tmp_path / "pulsar_small_bitstream" / "nextpnr.log").read_text()
    assert "at 62.00 MHz" in log
    assert found["critical_path"] and found["utilisation"]["DP16KD"]["used"] == 4
    absorbed = {"ports": {"DP16KD": 4}, "flip_flops": 64, "kept": {}}
    assert found["output_registers"] == absorbed  # one bank needs no multiplexer behind it
    assert report["route_s"] > 0
    assert "MHz after routing, 50 MHz met (seed 7); TRELLIS_COMB" in capsys.readouterr().out


def test_a_clock_that_is_missed_gives_exit_code_1(small_top, tmp_path, monkeypatch, capsys):
    slow = Routed(1, 50.0, 42.5, [], {"DP16KD": 165}, {"DP16KD": 208})
    target = tmp_path / "pulsar_small.bit"
    monkeypatch.setattr(build, "build_bitstream", lambda *_: (target, slow))
    assert run("--out", str(tmp_path)) == 1
    assert (
        "42.5 MHz after routing, 50 MHz missed (seed 1); DP16KD 165 of 208"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize("args", [("--no-bitstream",), ("--board", "zcu102")])
def test_verilog_alone(args, small_top, tmp_path):
    assert run("--out", str(tmp_path), *args) == 0
    assert not list(tmp_path.glob("*bit*"))
    assert "bitstream" not in json.loads((tmp_path / "pulsar_small.json").read_text())


def test_a_missing_tool_is_named_before_anything_is_built(small_top, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(route, "PACKAGE", "yowasp-nextpnr-missing")
    monkeypatch.setattr(route, "MODULE", "yowasp_nextpnr_missing")
    assert run("--out", str(tmp_path)) == 2
    expected = (
        "yowasp-nextpnr-missing not found: pip install 'pulsar-vit[ulx3s]'; or --no-bitstream"
    )
    assert expected in capsys.readouterr().err
    assert list(Path(tmp_path).iterdir()) == []


def test_an_engine_that_does_not_fit_is_refused_before_anything_is_built(tmp_path, capsys):
    file = tmp_path / "large.json"
    file.write_text(json.dumps(asdict(replace(ULX3S, name="large", token_lanes=14))))
    args = ("--board", "ulx3s", "--engine", str(file), "--out", str(tmp_path))
    assert command(main, prog=PROG, args=args) == 2
    assert capsys.readouterr().err == (
        f"{PROG}: error: engine 'large' does not fit board 'ulx3s' with what is around it:"
        " multipliers 169 + 0 > 156; give smaller sizes with --engine,"
        " or --no-bitstream to count alone\n"
    )


def test_summary_leaves_out_cells_that_there_are_none_of():
    assert summary(Routed(2, 50.0, 60.0, [], {}, {})).endswith("50 MHz met (seed 2); ")
