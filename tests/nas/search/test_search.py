"""``python -m nas.search --quick``: what it writes, refuses, repeats and resumes.

Training is real but tiny. The RTL is left out (``--images 0``), or a stand-in at the one function
that calls the simulator: whole networks on the RTL are tested in tests/sim.
"""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from nas import testset
from nas.cost import ExactCosts, HardwareTarget, ImageCost
from nas.data import thinned
from nas.quantize.integer import IntegerNetwork
from nas.search import report
from nas.search.__main__ import main
from nas.search.options import SearchOptions
from nas.search.setup import SearchSetup, prepare
from nas.search.summary import Summary
from nas.search.targets import default_targets, fastest_rate
from nas.space import DIGITS
from rtl.cli import command
from rtl.config import TINY
from rtl.model import IntegerModel
from rtl.timing.traffic import work_of

ROOT = Path(__file__).parents[3]
PROG = "python -m nas.search"
QUICK = (
    "--quick", "--images", "0", "--targets", "9500", "28000",
    "--generations", "1", "--population", "4",
)  # fmt: skip
RATES = (9500, 28000)
REQUIRED = {
    "target_fps", "predicted_cycles", "rtl_cycles", "accuracy_qat", "accuracy_integer",
    "rtl_images", "rtl_mismatches", "arch", "model",
}  # fmt: skip


def run(out: Path, *arguments: str) -> int:
    return command(main, prog=PROG, args=["--out", str(out), *QUICK, *arguments])


def prepared(options: SearchOptions) -> SearchSetup:
    (setup,) = prepare(options, ExactCosts(), Console(quiet=True))
    return setup


def start(out: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "nas.search", "--out", str(out), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )


def comparable(folder: Path) -> dict:
    summary = json.loads((folder / "summary.json").read_text())
    return {
        key: value
        for key, value in summary.items()
        if key not in ("wall_s", "costing_s", "versions")
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A folder with one finished run, ``digits``."""
    out = tmp_path_factory.mktemp("runs")
    assert run(out) == 0
    return out


def copied(runs: Path, name: str) -> str:
    """Return the name of a copy of the finished run: its search need not be done again."""
    shutil.copytree(runs / "digits", runs / name, dirs_exist_ok=True)
    (runs / name / "summary.json").unlink()
    return name


def test_summary_has_its_schema(runs):
    data = json.loads((runs / "digits" / "summary.json").read_text())
    assert data["schema"] == 5 and data["seed"] == 0 and data["wall_s"] > data["costing_s"] > 0
    assert {"python", "torch", "numpy", "pymoo"} <= data["versions"].keys()
    assert [winner["target_fps"] for winner in data["winners"]] == list(RATES)
    for winner in data["winners"]:
        assert winner.keys() >= REQUIRED
        assert winner["predicted_cycles"] <= 100e6 / winner["target_fps"]
        assert 0 < winner["accuracy_integer"] <= 1 and 0 < winner["accuracy_qat"] <= 1
        assert winner["quantized_codes_equal"] >= 0.999
        assert (winner["golden_images"], winner["golden_mismatches"]) == (1000, 0)
        assert (winner["rtl_images"], winner["rtl_mismatches"]) == (0, 0)
        assert winner["rtl_cycles"] is None
    assert Summary.load(runs / "digits" / "summary.json").seed == 0


def test_models_are_the_winners(runs):
    folder = runs / "digits"
    frozen = json.loads((folder / "predictions.json").read_text())["predictions"]
    for winner, prediction in zip(comparable(folder)["winners"], frozen, strict=True):
        model = IntegerModel.load(folder / winner["model"])
        assert model.hash == winner["model_hash"] == prediction["model_hash"]
        assert model.info["arch"] == winner["arch"]
        assert winner["predicted_cycles"] == prediction["predicted_cycles"]
        test = testset.load_digits_test()
        predicted = IntegerNetwork(model).run(test.images).argmax(1)
        accuracy = (predicted == test.labels).float().mean().item()
        assert accuracy == pytest.approx(winner["accuracy_integer"])


def test_nothing_else_is_left_behind(runs):
    names = {path.name for path in (runs / "digits").iterdir()} - {".lock"}
    models = {f"winner-{rate}fps.pulsar" for rate in RATES}
    assert names == models | {
        "summary.json", "predictions.json", "search.json", "pareto.png", "engine.json",
    }  # fmt: skip


def test_equal_options_give_equal_bytes(runs):
    assert run(runs, "--name", "again") == 0
    first, second = (comparable(runs / name) for name in ("digits", "again"))
    assert json.dumps(first) == json.dumps(second)
    for winner in first["winners"]:
        files = [(runs / name / winner["model"]).read_bytes() for name in ("digits", "again")]
        assert files[0] == files[1]


def test_a_finished_run_is_reused(runs, monkeypatch):
    def never(*args):
        raise AssertionError("a subnet was evaluated again")

    monkeypatch.setattr("nas.search.job.evaluate_subnet", never)
    before = comparable(runs / "digits")
    assert run(runs) == 0
    assert comparable(runs / "digits") == before


def test_another_seed_gives_another_run(runs):
    assert run(runs, "--name", "seed1", "--seed", "1") == 0
    archs = [
        [winner["arch"] for winner in comparable(runs / name)["winners"]]
        for name in ("seed1", "digits")
    ]
    assert archs[0] != archs[1]


# --- objectives ---------------------------------------------------------------------------------


def test_what_a_winner_moves_is_that_of_its_program(runs):
    for winner in comparable(runs / "digits")["winners"]:
        work = work_of(IntegerModel.load(runs / "digits" / winner["model"]).shape, TINY)
        assert winner["work"] == {
            "macs": work.macs,
            "array_cycles": work.array_cycles,
            "memory_bytes": work.bytes,
            "scratchpad_bytes": work.scratchpad_bytes,
            "energy_joules": None,
        }


def test_bytes_as_an_objective(runs, capsys):
    """With all accuracy to give away, the winner is the candidate that moves the fewest bytes."""
    options = ("--name", "bytes", "--objectives", "memory_bytes", "cycles")
    assert run(runs, *options) == 0
    capsys.readouterr()
    strict = comparable(runs / "bytes")
    state = (runs / "bytes" / "search.json").read_bytes()
    assert run(runs, *options, "--tolerance", "100") == 0  # of the same search
    out = capsys.readouterr().out
    assert "scratchpads" in out and "uncalibrated" in out
    assert (runs / "bytes" / "search.json").read_bytes() == state
    loose = comparable(runs / "bytes")
    assert loose["objectives"] == ["memory_bytes", "cycles"] and loose["tolerance"] == 100
    for first, second in zip(strict["winners"], loose["winners"], strict=True):
        assert second["work"]["memory_bytes"] <= first["work"]["memory_bytes"]
        assert second["accuracy_validation"] <= first["accuracy_validation"]
    assert strict["winners"][0]["arch"] != loose["winners"][0]["arch"]


def test_a_tolerance_is_in_points(tmp_path):
    assert prepared(SearchOptions(out=tmp_path, tolerance=1.5)).evolution.tolerance == 0.015


def test_another_objective_is_another_run(runs, capsys):
    assert run(runs, "--objectives", "array_cycles") == 2
    expected = "holds a run with other settings (objectives cycles, now array_cycles): choose"
    assert expected in capsys.readouterr().err


# --- the test set -------------------------------------------------------------------------------


def test_search_never_touches_the_test_set(runs, monkeypatch):
    def poison():
        raise AssertionError("the test set was loaded")

    monkeypatch.setattr(report, "load_digits_test", poison)
    monkeypatch.setattr(testset, "load_digits_test", poison)
    with pytest.raises(AssertionError, match="the test set was loaded"):
        run(runs, "--name", "poisoned")
    # All is decided and written down by then, equal to the run that could load it.
    folders = [runs / name for name in ("poisoned", "digits")]
    for file in ("search.json", "predictions.json"):
        assert (folders[0] / file).read_bytes() == (folders[1] / file).read_bytes()
    assert not (folders[0] / "summary.json").exists()


def test_quick_keeps_every_class(runs):
    data = thinned(prepared(SearchOptions(out=runs, targets=(9000.0,))).data, 7)
    for part in (data.train, data.validation):
        assert set(part.labels.tolist()) == set(range(10))


# --- the RTL ------------------------------------------------------------------------------------


def stand_in(monkeypatch, mismatches: int = 0, wrong_logits: bool = False) -> list[np.ndarray]:
    seen = []

    def simulate(model, pictures, hardware, advance):
        seen.append(pictures.labels.numpy())
        logits = IntegerNetwork(model).run(pictures.images).numpy() + wrong_logits
        first = "blocks.0.q, token 3, row 5, image 1" if mismatches else None
        cycles = [1000 + i for i in range(len(pictures))]
        return SimpleNamespace(
            logits=logits,
            cycles=cycles,
            wrong_instructions=mismatches,
            wrong_logits=0,
            first_mismatch=first,
        )

    monkeypatch.setattr(report, "_simulate", simulate)
    return seen


def test_rtl_runs_pictures_of_all_classes(runs, monkeypatch):
    seen = stand_in(monkeypatch)
    assert run(runs, "--name", copied(runs, "rtl"), "--images", "16") == 0
    assert [len(labels) for labels in seen] == [16] * 2
    assert all(set(labels) == set(range(10)) for labels in seen)
    for winner in comparable(runs / "rtl")["winners"]:
        assert (winner["rtl_images"], winner["rtl_mismatches"]) == (16, 0)
        assert winner["rtl_cycles"] == 1000  # the first picture's


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"mismatches": 7}, "7 times with winner-9500fps.pulsar, first in blocks.0.q, token 3"),
        ({"wrong_logits": True}, "40 times with winner-9500fps.pulsar, first in the logits"),
    ],
)
def test_a_mismatch_fails_the_command(fault, message, runs, monkeypatch, capsys):
    stand_in(monkeypatch, **fault)
    assert run(runs, "--name", copied(runs, "fault"), "--images", "4") == 1
    output = capsys.readouterr().err.splitlines()[-1]
    assert output.startswith(f"{PROG}: error: the engine differs from golden {message}")
    winners = comparable(runs / "fault")["winners"]  # written all the same
    assert all(winner["rtl_mismatches"] for winner in winners)


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--board", "zcu104"],
            "unknown board 'zcu104': choose one of sim, ulx3s, zcu102, or a path ending in .toml",
        ),
        (["--engine", "huge"], "unknown engine 'huge': choose one of tiny, ulx3s, zcu102"),
        (["--images", "1001"], "--images must be from 0 to 1000, not 1001"),
        (["--population", "3"], "--population must be from 4 to 10000, not 3"),
        (["--seed", "-1"], "--seed must be from 0 to 4294967295, not -1"),
        (["--threads", "0"], "--threads must be from 1 to 256, not 0"),
        (["--tolerance", "-1"], "--tolerance must be from 0 to 100, not -1"),
        (
            ["--objectives", "cycles", "cycles"],
            "--objectives must name at least one, and each once",
        ),
        (
            ["--objectives", "energy_joules", "--restart"],
            "energy is uncalibrated on board 'sim': import a power report with"
            " python -m nas.calibrate --board sim --power REPORT --network MODEL",
        ),
        (["--targets", "0"], "--targets must be positive, not 0"),
        (["--targets", "100", "100"], "--targets must differ from each other"),
        (["--targets", "9000", "9000.0001"], "--targets must differ from each other within six"),
        (["--seed", "4294967296"], "--seed must be from 0 to 4294967295, not 4294967296"),
        (["--threads", "100000"], "--threads must be from 1 to 256, not 100000"),
        (["--name", ""], "--name must be the name of a folder in OUT, not ''"),
        (["--name", ".."], "--name must be the name of a folder in OUT, not '..'"),
        (["--name", "a/b"], "--name must be the name of a folder in OUT, not 'a/b'"),
        (["--name", "supernets"], "--name must be the name of a folder in OUT, not 'supernets'"),
        (
            ["--seed", "5"],
            "OUT/digits holds a run with other settings (seed 0, now 5; supernet ",
        ),
        (
            ["--targets", "9000"],
            "OUT/digits holds a run with other settings (targets [9500.0, 28000.0],"
            " now [9000.0]): choose another --name, or discard it with --restart",
        ),
    ],
)
def test_refused_in_one_line(arguments, message, runs, capsys):
    assert run(runs, *arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"{PROG}: error: {message.replace('OUT', str(runs))}")


def test_an_impossible_target_says_what_is_possible(runs, capsys):
    assert run(runs, "--name", "fast", "--targets", "1000000") == 2
    text = capsys.readouterr().err
    pattern = (
        r"error: no subnet reaches 1e\+06 frames per second on board 'sim':"
        r" the fastest takes ([\d,]+) cycles, (\d+) frames per second; what binds: memory [\d.]+%,"
    )
    found = re.search(pattern, text)
    assert found, text
    cycles, rate = found.groups()
    assert int(rate) <= 100e6 / int(cycles.replace(",", "")) < int(rate) * 1.1
    assert not (runs / "fast").exists()


def test_default_targets_can_be_reached(runs):
    setup = prepared(SearchOptions(out=runs))
    assert len(setup.targets) == 3 and list(setup.targets) == sorted(setup.targets)
    assert setup.targets == default_targets(setup.engines[0], setup.space, ExactCosts())


def test_subnets_beyond_the_calibration_are_flagged(runs):
    """From the smallest to the largest; digits are what board sim was calibrated for."""

    def said(**options):
        setup = prepared(SearchOptions(out=runs, **options))
        return setup.caveats(setup.engines[0])

    far = said(board="zcu102")[-1]
    assert far.startswith("cycles on board 'zcu102' extrapolate: tokens 17 outside 50 to 257")
    assert "width 32 outside" in far and "width 64 outside" in far
    assert not any("extrapolate" in each for each in said())


def test_default_targets_are_within_reach_of_the_smallest_subnet(monkeypatch):
    """Even if all random subnets are faster."""
    hardware = HardwareTarget.load("sim")
    fast = ImageCost(cycles=1, array_cycles=1, memory_bytes=1, scratchpad_bytes=1)
    monkeypatch.setattr(ExactCosts, "of", lambda self, hardware, shapes: [fast] * len(shapes))
    expected = (fastest_rate(hardware, DIGITS),)
    assert default_targets(hardware, DIGITS, ExactCosts()) == expected


def test_training_takes_seed_and_threads_from_the_options(runs):
    options = SearchOptions(out=runs, targets=(9000.0,), seed=3, threads=2)
    training = prepared(options).training
    assert (training.seed, training.threads) == (3, 2)


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("seed", {"seed": 1}),
        ("threads", {"threads": 2}),
        ("targets", {"targets": (9000.0,)}),
        ("population", {"population": 8}),
        ("generations", {"generations": 3}),
        ("objectives", {"objectives": ("array_cycles",)}),
        ("engine", {"engine": "zcu102"}),
        ("supernet", {"quick": True}),
    ],
)
def test_options_that_decide_a_search_are_in_its_identity(key, changes, tmp_path):
    options = SearchOptions(out=tmp_path, targets=RATES)
    before, after = (prepared(each).identity for each in (options, replace(options, **changes)))
    assert before[key] != after[key]


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("clock_hz", "clock_hz = 100_000_000", "clock_hz = 200_000_000"),
        ("cycles of smallest and largest", "latency_cycles = 100", "latency_cycles = 200"),
    ],
)
def test_a_board_that_was_changed_is_another_run(key, old, new, tmp_path):
    text = (ROOT / "boards" / "sim.toml").read_text()
    assert old in text
    identities = []
    for content in (text, text.replace(old, new)):
        board = tmp_path / "sim.toml"
        board.write_text(content)
        identities.append(
            prepared(SearchOptions(out=tmp_path, targets=RATES, board=str(board))).identity
        )
    before, after = identities
    assert before["board"] == after["board"] == "sim" and before[key] != after[key]


def test_restart_discards_the_run_and_only_that(runs):
    copied(runs, "other")
    (runs / "other" / "notes.txt").write_text("mine")
    assert run(runs, "--name", "other", "--targets", "20000", "--restart") == 0
    assert [winner["target_fps"] for winner in comparable(runs / "other")["winners"]] == [20000]
    names = {path.name for path in (runs / "other").glob("*.pulsar")}
    assert names == {"winner-20000fps.pulsar"}
    assert (runs / "other" / "notes.txt").read_text() == "mine"


def test_unwritable_run_directory(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run(tmp_path / "file") == 2
    expected = f"cannot write to run directory {tmp_path / 'file' / 'digits'}: Not a directory"
    assert capsys.readouterr().err == f"{PROG}: error: {expected}\n"


def test_what_the_rtl_needs_is_missed_before_training(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PULSAR_CACHE", str(tmp_path / "file"))
    assert run(tmp_path, "--images", "1") == 2
    error = f"{PROG}: error: cannot write to cache directory {tmp_path / 'file'} (environment"
    assert capsys.readouterr().err.startswith(error)
    assert not (tmp_path / "supernets").exists()


def test_two_searches_in_one_folder(runs, capsys):
    with (runs / "digits" / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert run(runs) == 2
    expected = f"error: another run is at work in {runs / 'digits'}\n"
    assert capsys.readouterr().err.endswith(expected)


# --- in a process of its own --------------------------------------------------------------------


def test_interrupted_in_the_search_and_resumed(runs, tmp_path):
    state = tmp_path / "digits" / "search.json"
    with start(tmp_path, *QUICK) as process:
        while not state.exists() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=600)
    assert process.returncode == 130, error
    expected = f"{PROG}: interrupted: what was done is saved, the same command resumes"
    assert error.rstrip("\n").splitlines()[-1] == expected
    assert "Traceback" not in error
    assert not (tmp_path / "digits" / "summary.json").exists()
    assert run(tmp_path) == 0
    assert comparable(tmp_path / "digits") == comparable(runs / "digits")


def test_exit_code_of_the_command(tmp_path):
    with start(tmp_path, "--board", "zcu104") as process:
        output, error = process.communicate(timeout=600)
    assert (process.returncode, output) == (2, "")
    assert error.startswith(f"{PROG}: error: unknown board 'zcu104'")
    assert len(error.splitlines()) == 1
