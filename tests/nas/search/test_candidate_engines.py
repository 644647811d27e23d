"""``python -m nas.search --engine free``: engine and subnets, on a board with made-up costs."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from nas.cost.calibration import Calibration
from nas.cost.engine_search import search
from nas.cost.engine_search.sizing import LaneCounts
from nas.cost.records import SIZES, Errors, LatencyRecord, ResourceErrors, ResourceRecord
from nas.search import job, scoring
from nas.search.__main__ import main
from nas.search.summary import Summary
from rtl import config
from rtl.board import load_board
from rtl.cli import command
from rtl.config import ULX3S
from rtl.resources import structure
from rtl.resources.model import FITTED, ResourceModel

PROG = "python -m nas.search"
BOARD = """
name = "small"
device = "LFE5U-85F-6BG381C"
clock_hz = 50_000_000
engine = "ULX3S"
limits = { dsp = 200, lut = 90_000, ff = 90_000, bram36 = 80 }
memory = { gigabytes_per_second = 0.8, latency_cycles = 20 }
"""
QUICK = (
    "--engine", "free", "--quick", "--images", "0", "--targets", "1000", "2500",
    "--generations", "1", "--population", "4",
)  # fmt: skip
RANGES = {"token_lanes": (2, 4)}  # of the engines that the board's calibration was made on
GRID = [
    LaneCounts(2, 8, 8, 1, 1),
    LaneCounts(4, 8, 4, 2, 2),
    LaneCounts(4, 8, 4, 1, 2),
    LaneCounts(4, 8, 8, 1, 1),
    LaneCounts(6, 8, 4, 1, 1),  # beyond them
]
LEFT_OUT = "1 of 5 lanes were left out: their resources would be extrapolated"


def made_model() -> ResourceModel:
    """Every feature costs half a LUT and half a flip-flop."""
    costs = {
        block: {kind: dict.fromkeys(features, 0.5) for kind in FITTED}
        for _, block, features in structure.blocks(ULX3S, "ecp5")
    }
    return ResourceModel("ecp5", costs, RANGES)


def calibrate(board: Path) -> None:
    """Write a calibration beside a board's file."""
    loaded = load_board(str(board))
    errors = Errors(mape=0, max=0, bias=0, tau=1, n=1)
    latency = LatencyRecord(
        engine="ulx3s",
        engine_hash=f"{ULX3S.hash:016x}",
        verilog="0" * 16,
        ranges=dict.fromkeys(SIZES, (0, 1e9)),
        errors=errors,
        units={},
        held_out=[],
    )
    none = ResourceErrors(lut=0, ff=0, lut_mean=0, ff_mean=0, dsp=0, bram=0, n=1)
    resources = ResourceRecord(model=made_model().to_json(), errors=none, held_out=[])
    Calibration(
        board=loaded.name,
        device=loaded.device,
        latency=latency,
        resources=resources,
        speedup=1,
        seconds={},
    ).save(Path(str(loaded.calibration)))


@pytest.fixture(autouse=True)
def small_grid(monkeypatch):
    monkeypatch.setattr(search, "all_lanes", lambda: iter(GRID))


@pytest.fixture(scope="module")
def board(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("boards") / "small.toml"
    file.write_text(BOARD)
    calibrate(file)
    return file


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs")


def run(out: Path, board: Path, *arguments: str) -> int:
    given = ["--out", str(out), "--board", str(board), *QUICK, *arguments]
    return command(main, prog=PROG, args=given)


def found(folder: Path) -> dict:
    summary = json.loads((folder / "summary.json").read_text())
    return {
        key: value
        for key, value in summary.items()
        if key not in ("wall_s", "costing_s", "versions")
    }


def test_engine_and_subnets_within_all_limits(out, board, capsys):
    assert run(out, board) == 0
    summary = Summary.load(out / "digits" / "summary.json")
    engine = config.engine(str(out / "digits" / "engine.json"))
    assert summary.engine_searched and summary.engine_sizes == engine.to_json()
    assert summary.resources == asdict(made_model().predict(engine))
    load_board(str(board)).require(**{k: int(v) for k, v in (summary.resources or {}).items()})
    assert engine.token_lanes <= 4
    assert (summary.lanes, summary.lanes_left_out) == (5, 1)
    assert summary.binding == "dsp: 4 x 8 x 8 would need 225 of 200"
    for winner, target in zip(summary.winners, (1000, 2500), strict=True):
        assert winner.predicted_cycles <= 50e6 / target
    lines = capsys.readouterr().out.splitlines()
    assert {f"Limit: {summary.binding}", f"Calibration: {LEFT_OUT}"} <= set(lines)
    assert summary.engine_gap is None and not any("stopped" in line for line in lines)
    assert any(line.startswith(f"Engine {engine.name}: dsp ") for line in lines)


def test_the_engine_is_that_of_the_most_accurate_winners(out, board, monkeypatch):
    ranks = {}

    def rank(result):
        losses = sum(outcome.winner.loss for outcome in result.outcomes)
        ranks[result.hardware.engine.name] = losses
        return (losses,)

    monkeypatch.setattr(search, "NEAR", 0.0)
    monkeypatch.setattr(search, "_beats", lambda one, other: False)
    monkeypatch.setattr(job.EngineResult, "rank", property(rank))
    assert run(out, board, "--name", "several") == 0
    assert len(ranks) > 1
    assert ranks[found(out / "several")["engine"]] == min(ranks.values())


def test_an_engine_search_that_is_stopped_says_how_far_it_came(out, board, capsys):
    """After the first lanes, which are the fastest by their bound."""
    assert run(out, board, "--name", "stopped", "--engine-minutes", "1e-9") == 0
    gap = found(out / "stopped")["engine_gap"]
    assert gap is not None
    text = "Engine search: stopped at its time limit; an engine that was not tried may take up to"
    assert f"{text} {gap:.1%} fewer cycles" in capsys.readouterr().out.splitlines()


def test_interrupted_and_resumed(out, board, monkeypatch):
    assert run(out, board, "--name", "whole") == 0
    evaluate, calls = scoring.evaluate_subnet, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 18:  # beyond the 16 uniform subnets, after which the state is saved
            raise KeyboardInterrupt
        return evaluate(*arguments)

    monkeypatch.setattr(scoring, "evaluate_subnet", interrupted)
    assert run(out, board, "--name", "halted") == 130
    assert (out / "halted" / "search.json").exists()
    assert not (out / "halted" / "summary.json").exists()
    assert run(out, board, "--name", "halted") == 0
    assert found(out / "halted") == found(out / "whole")
    for file in ("search.json", "engine.json"):
        assert (out / "halted" / file).read_bytes() == (out / "whole" / file).read_bytes()


def test_widths_of_activations_compete(out, board, capsys):
    assert run(out, board, "--name", "widths", "--act-bits", "4", "6") == 0
    folder = out / "widths"
    assert found(folder)["engine_sizes"]["act_bits"] in (4, 6)
    states = [json.loads((folder / f).read_text()) for f in ("search.json", "search-2.json")]
    searched = [
        {tuple(genes) for target in state["targets"] for genes in target["found"]}
        for state in states
    ]
    assert found(folder)["candidates"] == sum(map(len, searched))
    assert found(folder)["supernet"][:12] in [state["identity"]["supernet"] for state in states]
    capsys.readouterr()
    assert run(out, board, "--name", "widths", "--act-bits", "6") == 2
    assert "widths holds a run with other settings (engine " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--targets", "1000000"],
            "no engine reaches 1e+06 frames per second on board 'small': the fastest subnet has ",
        ),
        (
            ["--board", "sim"],
            "an engine search needs a board with limits, and board 'sim' has none of dsp, lut, ff,",
        ),
        (["--act-bits", "5"], "--act-bits must be 4, 6 or 8, not 5"),
        (["--act-bits", "4", "4"], "--act-bits must differ from each other"),
        (
            ["--engine", "ulx3s", "--act-bits", "4"],
            "--act-bits needs --engine free: a given engine has its own width",
        ),
        (
            ["--engine", "ulx3s", "--engine-minutes", "1"],
            "--engine-minutes needs --engine free: a given engine is not sought",
        ),
        (["--engine-minutes", "0"], "--engine-minutes must be positive, not 0"),
        (["--engine-minutes", "nan"], "--engine-minutes must be positive, not nan"),
    ],
)
def test_refused_in_one_line(arguments, message, out, board, capsys):
    assert run(out, board, "--name", "refused", *arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(lines) == 1 and lines[0].startswith(f"{PROG}: error: {message}")
    assert not (out / "refused").exists()


def test_an_unreachable_target_says_which_limit_blocks(out, board, capsys):
    assert run(out, board, "--name", "fast", "--targets", "1000000") == 2
    assert capsys.readouterr().err.endswith(f"; dsp: 4 x 8 x 8 would need 225 of 200; {LEFT_OUT}\n")


def test_a_board_without_calibration(out, tmp_path, capsys):
    file = tmp_path / "small.toml"
    file.write_text(BOARD)
    assert run(out, file, "--name", "refused") == 2
    assert "run python -m nas.calibrate --board " in capsys.readouterr().err


def test_a_given_engine_beyond_the_calibration_is_flagged(out, board, tmp_path, capsys):
    file = tmp_path / "wider.json"
    file.write_text(json.dumps(asdict(replace(ULX3S, name="wider", token_lanes=6))))
    assert run(out, board, "--name", "given", "--engine", str(file)) == 0
    warning = "warning: resources of engine 'wider' extrapolate: token_lanes 6 outside 2..4"
    assert warning in " ".join(capsys.readouterr().err.split())
    assert found(out / "given")["lanes_left_out"] == 0
