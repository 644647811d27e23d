"""The main job: what it writes, repeats, resumes, and never looks at."""

import json
import signal
import time
from dataclasses import replace

import numpy as np
import pytest

from nas import testset
from nas.data import ImageSet, TrainingData
from nas.digits import load_digits
from nas.numerics.integer import IntegerNetwork
from nas.search import report
from nas.search.evolution_state import EvolutionState
from nas.search.summary import Summary
from rtl.compiler import lower, plan
from rtl.config import TINY
from rtl.model import IntegerModel
from rtl.timing.traffic import work_of
from tests.nas.search.runs import PROG, QUICK, RATES, comparable, copied, run, start

REQUIRED = {
    "target_fps", "predicted_cycles", "rtl_cycles", "accuracy_qat", "accuracy_integer",
    "rtl_images", "rtl_wrong_instructions", "rtl_wrong_logits", "arch", "model",
}  # fmt: skip


def test_summary_has_its_schema(runs):
    data = json.loads((runs / "digits" / "summary.json").read_text())
    assert data["schema"] == 8 and data["seed"] == 0 and data["wall_s"] > data["costing_s"] > 0
    assert {"python", "torch", "numpy", "pymoo"} <= data["versions"].keys()
    assert [winner["target_fps"] for winner in data["winners"]] == list(RATES)
    for winner in data["winners"]:
        assert winner.keys() >= REQUIRED
        assert winner["predicted_cycles"] <= 100e6 / winner["target_fps"]
        assert 0 < winner["accuracy_integer"] <= 1 and 0 < winner["accuracy_qat"] <= 1
        assert winner["quantized_codes_equal"] >= 0.999
        assert (winner["golden_images"], winner["golden_mismatches"]) == (1000, 0)
        assert (winner["rtl_images"], winner["rtl_wrong_instructions"]) == (0, 0)
        assert winner["rtl_cycles"] is None
        assert winner["evaluations"] == 16 + 4  # uniform subnets, and one generation
        for name, evaluations in (("uniform", 16), ("random", 20)):
            baseline = winner["baselines"][name]
            assert baseline["evaluations"] == evaluations
            assert baseline["cycles"] <= 100e6 / winner["target_fps"]
            low, high = baseline["difference_interval"]
            assert low <= baseline["difference"] <= high
            difference = winner["cross_entropy"] - baseline["cross_entropy"]
            assert baseline["difference"] == pytest.approx(difference, abs=1e-6)
        uniform = winner["baselines"]["uniform"]
        assert winner["cross_entropy_reranking"] <= uniform["cross_entropy_reranking"]
        assert 0 <= winner["in_band"] <= 1
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
        predicted = IntegerNetwork(model).run(test.pixels).argmax(1)
        accuracy = (predicted == test.labels).float().mean().item()
        assert accuracy == pytest.approx(winner["accuracy_integer"])


def test_nothing_else_is_left_behind(runs):
    names = {path.name for path in (runs / "digits").iterdir()} - {".lock"}
    models = {f"winner-{rate}fps.pulsar" for rate in RATES}
    assert names == models | {
        "summary.json", "predictions.json", "search.json", "pareto.png", "engine.json",
        "report.html",
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

    monkeypatch.setattr("nas.search.scoring.evaluate_subnet", never)
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


def test_what_a_winner_moves_is_that_of_its_program(runs):
    for winner in comparable(runs / "digits")["winners"]:
        shape = IntegerModel.load(runs / "digits" / winner["model"]).shape
        work = work_of(lower(plan(shape, TINY)))
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
    state = EvolutionState.load(runs / "bytes" / "search.json")
    assert run(runs, *options, "--tolerance", "100") == 0  # of the same search
    out = capsys.readouterr().out
    assert "scratchpads" in out and "uncalibrated" in out
    again = EvolutionState.load(runs / "bytes" / "search.json")
    assert (again.scores, again.targets) == (state.scores, state.targets)
    loose = comparable(runs / "bytes")
    assert loose["objectives"] == ["memory_bytes", "cycles"] and loose["tolerance"] == 100
    for first, second in zip(strict["winners"], loose["winners"], strict=True):
        assert second["work"]["memory_bytes"] <= first["work"]["memory_bytes"]
        assert second["cross_entropy_reranking"] >= first["cross_entropy_reranking"]
    assert strict["winners"][0]["arch"] != loose["winners"][0]["arch"]


def test_search_never_touches_the_test_set(runs, monkeypatch):
    def poison(split=0):
        raise AssertionError("the test set was loaded")

    monkeypatch.setattr(report, "load_test", poison)
    monkeypatch.setattr(testset, "load_digits_test", poison)
    with pytest.raises(AssertionError, match="the test set was loaded"):
        run(runs, "--name", "poisoned")
    # All is decided and written down by then, equal to the run that could load it.
    folders = [runs / name for name in ("poisoned", "digits")]
    for file in ("search.json", "predictions.json"):
        assert (folders[0] / file).read_bytes() == (folders[1] / file).read_bytes()
    assert not (folders[0] / "summary.json").exists()


def test_random_labels_end_at_chance_and_help_no_search(runs, monkeypatch):
    """With nothing to be learned, no winner is better than the best uniform network."""

    def shuffled(split: int) -> TrainingData:
        data = load_digits(split)
        rng = np.random.default_rng(0)
        parts = (
            ImageSet(part.pixels, part.labels[rng.permutation(len(part))])
            for part in (data.train, data.validation)
        )
        return replace(data, **dict(zip(("train", "validation"), parts, strict=True)))

    monkeypatch.setattr("nas.task.task.load_digits", shuffled)
    assert run(runs, "--name", "shuffled") == 0
    for winner in comparable(runs / "shuffled")["winners"]:
        assert 0.06 < winner["accuracy_integer"] < 0.14
        assert winner["cross_entropy"] > 2.25
        uniform = winner["baselines"]["uniform"]
        assert uniform["accuracy_difference_interval"][0] < 0
        assert uniform["difference"] > -0.01


def test_restart_discards_the_run_and_only_that(runs):
    copied(runs, "other")
    (runs / "other" / "notes.txt").write_text("mine")
    assert run(runs, "--name", "other", "--targets", "20000", "--restart") == 0
    assert [winner["target_fps"] for winner in comparable(runs / "other")["winners"]] == [20000]
    names = {path.name for path in (runs / "other").glob("*.pulsar")}
    assert names == {"winner-20000fps.pulsar"}
    assert (runs / "other" / "notes.txt").read_text() == "mine"


def test_missing_tools_of_the_rtl_are_named_before_training(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PULSAR_CACHE", str(tmp_path / "file"))
    assert run(tmp_path, "--images", "1") == 2
    error = f"{PROG}: error: cannot write to cache directory {tmp_path / 'file'} (environment"
    assert capsys.readouterr().err.startswith(error)
    assert not (tmp_path / "supernets").exists()


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
    with start(tmp_path, "--board", "zcu106") as process:
        output, error = process.communicate(timeout=600)
    assert (process.returncode, output) == (2, "")
    assert error.startswith(f"{PROG}: error: unknown board 'zcu106'")
    assert len(error.splitlines()) == 1
