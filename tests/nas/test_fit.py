"""``python -m nas.fit``: its figures are the timing model's, its refusals the compiler's."""

import json
from dataclasses import replace
from math import isfinite
from pathlib import Path

import pytest

from nas import fit
from nas.cost import HardwareTarget, estimate
from nas.cost.calibration import find
from nas.cost.estimate import Estimate
from nas.cost.networks import NamedNetwork
from nas.cost.records import PowerModel
from nas.importer.options import NetworkOptions
from rtl.board import FOLDER, board_names, load_board
from rtl.build.synthesis import Resources
from rtl.cli import command
from rtl.compiler import lower, plan
from rtl.config import TINY, ZCU102
from rtl.model import IntegerModel
from rtl.model.shape import plain_vit
from rtl.timing import MemoryTiming, predict
from rtl.timing.latencies import unit_latencies
from rtl.timing.traffic import work_of
from sim.random_model import random_model
from tests.nas.importer.tiny import Style, export

DIGITS = str(Path(__file__).parents[2] / "examples" / "digits.pulsar")


def run(*args: str) -> int:
    return command(fit.main, prog="python -m nas.fit", args=args)


def test_deit_small_on_all_boards(tmp_path, capsys):
    assert run("deit_small", "--w8", "0.25", "--json", str(tmp_path / "fit.json")) == 0
    report = json.loads((tmp_path / "fit.json").read_text())
    assert (report["schema"], report["model"], report["w8"]) == (3, "deit_small", 0.25)
    rows = {row["board"]: row for row in report["boards"]}
    assert rows.keys() == set(board_names())
    assert "residual stream of 197 tokens" in rows["ulx3s"]["refusal"]  # of 384 channels
    assert rows["ulx3s"]["estimate"] is None
    board = load_board("zcu102")
    memory = MemoryTiming(board.bytes_per_cycle(), board.memory.latency_cycles)
    shape = plain_vit(width=384, heads=6, row_granularity=32, bits8=0.25)
    expected = predict(shape, ZCU102, memory, unit_latencies(ZCU102), images=3).cycles_per_image
    assert expected is not None
    found = rows["zcu102"]["estimate"]
    assert found["cycles_per_image"] == expected
    assert found["fps"] == pytest.approx(150e6 / expected)
    low, high = rows["zcu102"]["error_bars"]
    assert 0.98 < low <= 1 <= high < 1.02
    used = rows["zcu102"]["resources"]
    assert (used["dsp"], used["bram36"]) == (2475, 647.5)
    assert rows["zcu102"]["excess"] is None
    out = capsys.readouterr().out
    assert f"{expected:,.0f}" in out and f"{high - 1:+.1%}" in out
    assert max(map(len, out.splitlines())) <= 110


@pytest.fixture
def selecting(tmp_path):
    """The file of an engine: zcu102's, but selecting tokens."""
    path = tmp_path / "selecting.json"
    path.write_text(json.dumps(replace(ZCU102, name="selecting", select_tokens=256).to_json()))
    return str(path)


def test_tokens_that_stay(tmp_path, selecting, capsys):
    """Of 196 patches 138 stay, then 97, of which the class token makes 98, then 68."""
    arguments = ["deit_tiny", "--board", "zcu102", "--engine", selecting, "--keep"]
    report = tmp_path / "fit.json"
    assert run(*arguments, "3:0.7,6:0.7,9:0.7", "--json", str(report)) == 0
    out = capsys.readouterr().out
    assert "deit_tiny, keep 3:0.7,6:0.7,9:0.7" in out and "token tile" not in out
    found = json.loads(report.read_text())
    assert found["keep"] == {"3": 138, "6": 97, "9": 68}
    (board,) = found["boards"]
    assert board["estimate"]["cycles_per_image"] < 113_000  # of 156,000
    assert run(*arguments, "3:144") == 0
    out = " ".join(capsys.readouterr().out.split())
    hint = "zcu102: blocks.3 keeps 144 patches: the class token would open a token tile of 18 lanes"
    assert f"{hint}; 143 patches and all others fill 8 tiles" in out


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ("3:197", "blocks.3.keep is 197: it must be an integer from 1 to 196"),
        ("3:9,4:10", "blocks.4.keep is 10: it must be an integer from 1 to 9"),
        ("3:0", "blocks.3.keep is 0"),
        ("11:9", "blocks.11.keep is 9: nothing behind the last block would be spared"),
        ("12:9", "there is no block 12"),
        ("3:1.5", "a ratio must be above 0 and at most 1"),
        ("all", "--keep has 'all'"),
    ],
)
def test_tokens_that_cannot_stay(keep, message, selecting, capsys):
    arguments = ["deit_tiny", "--board", "zcu102", "--engine", selecting, "--keep", keep]
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err


def test_networks_and_engines_that_select_no_tokens(capsys):
    assert run("deit_tiny", "--board", "zcu102", "--keep", "3:143") == 2
    assert "blocks.3 keeps 143 of 196 patches: engine 'zcu102' selects none" in (
        capsys.readouterr().err
    )
    assert run(DIGITS, "--keep", "0:9") == 2
    assert "--keep is for float networks" in capsys.readouterr().err


def test_a_network_of_ones_own(tmp_path):
    """An ONNX file, and a timm model of another size: figures are those of its shape."""
    path, _ = export(tmp_path, Style("classes"))
    sizes = {"image": (12, 12, 3), "patch": 4, "width": 24, "heads": 3, "head_dim": 8}
    small = plain_vit(**sizes, hidden=48, depth=2, classes=7, row_granularity=TINY.row_lanes)
    report = tmp_path / "fit.json"
    for arguments, shape in (
        ([str(path)], small),
        (["deit_tiny", "--image-size", "32", "--classes", "10"], None),
    ):
        assert run(*arguments, "--board", "sim", "--json", str(report)) == 0
        (found,) = json.loads(report.read_text())["boards"]
        options = NetworkOptions(image_size=32, classes=10)
        shape = shape or NamedNetwork("deit_tiny", options=options).shape(TINY.row_lanes)
        expected = Estimate.of(HardwareTarget.load("sim"), shape).cycles
        assert found["estimate"]["cycles_per_image"] == expected


@pytest.mark.parametrize(("board", "network"), [("ulx3s", DIGITS), ("zcu102", "deit_tiny")])
def test_a_board_holds_its_engine_and_that_runs_a_network(board, network):
    found = fit.Fit.of(NamedNetwork(network), HardwareTarget.load(board))
    assert found.resources is not None and found.problem is None
    assert isfinite(found.estimate.frames_per_second)


def test_a_network_that_the_board_s_memory_does_not_hold(tmp_path, capsys):
    random_model().save(tmp_path / "large.pulsar")
    report = tmp_path / "fit.json"
    assert run(str(tmp_path / "large.pulsar"), "--json", str(report)) == 0
    out = " ".join(capsys.readouterr().out.split())
    said = "does not fit the memory of board 'ulx3s': model and one image take 167,488 bytes"
    assert f"ulx3s: {said} > 147,456: take a smaller network, or fewer 8-bit rows" in out
    (found,) = (row for row in json.loads(report.read_text())["boards"] if row["board"] == "ulx3s")
    assert found["excess"].startswith(said) and found["refusal"] is None
    assert found["estimate"]["cycles_per_image"] > 0
    assert run(str(tmp_path / "large.pulsar"), "--board", "ulx3s") == 2
    assert said in capsys.readouterr().err


def test_cycles_in_the_report_add_up(tmp_path):
    path = tmp_path / "fit.json"
    assert run(DIGITS, "--board", "sim", "--verbose", "--json", str(path)) == 0
    found = json.loads(path.read_text())["boards"][0]["estimate"]
    cycles = found["cycles"]
    parts = [cycles["multiplying"], cycles["draining"], *cycles["waiting"].values()]
    total = sum(sum(part.values()) for part in parts)
    assert total == pytest.approx(found["cycles_per_image"])
    assert all(
        0 <= padding <= cycles["multiplying"][kind] for kind, padding in cycles["padding"].items()
    )


def energies(args, capsys) -> tuple[list[str], str]:
    """The last column of the table of what an image moves, and all that was printed."""
    assert run(*args, "--verbose") == 0
    out = capsys.readouterr().out
    rows = out[out.index("dynamic energy") :].splitlines()
    return [row.split()[-1] for row in rows if row.split()[:1] == ["sim"]], " ".join(out.split())


def test_energy_only_after_a_power_report(monkeypatch, capsys):
    """1 pJ per product of the array; of another engine it is an extrapolation."""
    known = find(load_board("sim"))
    assert energies((DIGITS, "--board", "sim"), capsys)[0] == ["uncalibrated"]
    powered = known.model_copy(update={"power": PowerModel(joules_per_product=1e-12)})
    monkeypatch.setattr(estimate, "find", lambda board: powered)
    shape = IntegerModel.load(DIGITS).shape
    products = work_of(lower(plan(shape, TINY))).products
    found, out = energies((DIGITS, "--board", "sim"), capsys)
    assert found == [f"{products * 1e-9:.3g}"] and "energy of engine" not in out
    found, out = energies((DIGITS, "--board", "sim", "--engine", "ulx3s"), capsys)
    assert found != ["uncalibrated"]
    assert "energy of engine 'ulx3s' extrapolates: the power report of board 'sim'" in out


def test_extrapolations_are_flagged(tmp_path, capsys):
    """The digits have 17 tokens; board zcu102 was calibrated with 50 and more."""
    path = tmp_path / "fit.json"
    assert run(DIGITS, "--board", "zcu102", "--json", str(path)) == 0
    said = "cycles on board 'zcu102' extrapolate: tokens 17 outside 50 to 257"
    assert said in " ".join(capsys.readouterr().out.split())
    (board,) = json.loads(path.read_text())["boards"]
    assert any(each.startswith(said) for each in board["caveats"])


def test_what_does_not_fit_the_board_is_named(monkeypatch, capsys):
    def known(engine, board):
        return Resources(dsp=200, lut=80_000, ff=1, bram36=110.5)

    for module in (estimate, fit):
        monkeypatch.setattr(module, "resources_of", known)
    assert run(DIGITS, "--board", "ulx3s") == 2
    (error,) = capsys.readouterr().err.splitlines()
    reason = "ulx3s: does not fit board 'ulx3s': dsp 200 > 156, bram36 110.5 > 104"
    assert error.endswith(f"error: no board runs {DIGITS}: {reason}")


def test_a_network_that_no_board_runs_is_one_line_and_exit_code_2(tmp_path, capsys):
    """The figures are written all the same; a board that runs it is enough for exit code 0."""
    path = tmp_path / "fit.json"
    assert run("vit_huge_patch14_224", "--json", str(path)) == 2
    captured = capsys.readouterr()
    (error,) = captured.err.splitlines()
    assert error.startswith("python -m nas.fit: error: no board runs vit_huge_patch14_224: kv260: ")
    assert all(f"; {board}: " in error for board in ("sim", "ulx3s", "zcu102", "zcu104"))
    assert all(
        row["refusal"] and not row["estimate"] for row in json.loads(path.read_text())["boards"]
    )
    assert captured.out.count("does not fit") == len(board_names())
    assert run("deit_tiny", "--board", "all") == 0


def test_what_is_not_calibrated_is_said(tmp_path, capsys):
    """Of a board without calibration, another engine, and a network beyond the calibration's."""
    file, report = tmp_path / "bare.toml", tmp_path / "fit.json"
    content = (FOLDER / "zcu102.toml").read_text()
    file.write_text(content.replace('"zcu102"', '"bare"').replace("dsp = 2_520", "dsp = 10"))
    assert run("deit_tiny", "--board", str(file), "--json", str(report)) == 2
    (found,) = json.loads(report.read_text())["boards"]
    assert found["excess"] == "does not fit board 'bare': dsp 2,475 > 10"
    assert found["excess"] in capsys.readouterr().err
    file.write_text(content.replace('"zcu102"', '"bare"'))
    assert run("deit_tiny", "--board", str(file), "--json", str(report)) == 0
    (found,) = json.loads(report.read_text())["boards"]
    (said,) = found["caveats"]
    assert said.startswith("board 'bare' is not calibrated") and f"--board {file} " in said
    out = " ".join(capsys.readouterr().out.split())
    assert "board 'bare' is not calibrated" in out

    for arguments, expected in (
        (("zcu102", "--engine", "zcu102_a8"), "board 'zcu102' is calibrated with engine 'zcu102'"),
        (
            ("zcu102", "--image-size", "32"),
            "cycles on board 'zcu102' extrapolate: tokens 5 out",
        ),
    ):
        assert run("deit_tiny", "--board", *arguments, "--json", str(report)) == 0
        (found,) = json.loads(report.read_text())["boards"]
        assert any(expected in line for line in found["caveats"])


def test_an_old_calibration_is_one_line_with_the_remedy(tmp_path, capsys):
    file = tmp_path / "sim.toml"
    file.write_bytes((FOLDER / "sim.toml").read_bytes())
    (tmp_path / "sim.calibration.json").write_text('{"schema_version": 1, "coefficients": {}}')
    assert run(DIGITS, "--board", str(file)) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert "sim.calibration.json: calibration of version 1, expected 2: run python -m" in error


def test_error_bars_of_a_calibrated_board(monkeypatch, capsys):
    monkeypatch.setattr(fit, "error_bars", lambda board, engine: (0.99, 1.02))
    assert run(DIGITS, "--board", "sim") == 0
    out = capsys.readouterr().out
    assert "-1.0% to +2.0%" in out and "not calibrated" not in out


def test_no_error_bars_without_cycles(capsys):
    """Board sim is calibrated, but its engine refuses the network."""
    assert run("deit_tiny", "--board", "sim") == 2
    row = next(line for line in capsys.readouterr().out.splitlines() if "100 MHz" in line)
    assert "%" not in row


@pytest.mark.parametrize(
    "args, message",
    [
        (("resnet500",), "unknown model 'resnet500'"),
        (("swin_tiny_patch4_window7_224",), "has what the engine has not: windowed attention"),
        ((DIGITS, "--w8", "0.5"), "--w8 is for float networks"),
        ((DIGITS, "--classes", "5"), "--classes is for timm's models: digits.pulsar has its own"),
        (("deit_tiny", "--image-size", "100"), "--image-size 100 is not a multiple of the patch"),
        (("deit_tiny", "--checkpoint", "no.pth"), "no.pth: no such file"),
        (("deit_tiny", "--w8", "2"), "must be from 0 to 1, not 2"),
        ((DIGITS, "--board", "zcu106"), "unknown board 'zcu106'"),
        ((DIGITS, "--engine", "huge"), "unknown engine 'huge'"),
    ],
)
def test_wrong_usage(args, message, capsys):
    assert run(*args) == 2
    assert message in capsys.readouterr().err


def test_a_file_of_other_codes_is_refused_on_that_board(capsys):
    assert run(DIGITS, "--board", "zcu102", "--engine", "zcu102_a8") == 2
    assert "model has act_bits 6, engine 'zcu102_a8' 8" in capsys.readouterr().err
