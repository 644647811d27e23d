"""``python -m nas.finetune``: from a finished search to files, and what it refuses in one line."""

import json
import shutil

import numpy as np
import pytest

from nas.finetune.__main__ import main
from nas.finetune.job import TUNED, WINNER
from nas.numerics.integer import IntegerNetwork
from nas.search.report import evaluate_model
from nas.testset import load_digits_test
from nas.training.trainer import Trainer
from rtl.cli import command
from rtl.model import IntegerModel
from tests.documented import found, keys, section

PROG = "python -m nas.finetune"
FINETUNE = "Fine-tuning"


def run(folder, *args):
    return command(main, prog=PROG, args=[str(folder), "--images", "0", *args])


LABELS_ALONE = (
    "--target", "9500", "--epochs", "10", "--learning-rate", "0.004", "--teacher-share", "0",
)  # fmt: skip


@pytest.fixture(scope="module")
def report(finished):
    assert run(finished, *LABELS_ALONE) == 0
    return json.loads((finished / "finetuned-9500fps.json").read_text())


def test_a_winner_that_gained_is_written(report, finished):
    """A supernet of two epochs gains from any labels."""
    assert report["kept"] == TUNED and report["model"] == "finetuned-9500fps.pulsar"
    assert report["validation"]["cross_entropy_difference"]["high"] < 0
    assert (report["teacher"], report["teacher_share"], report["epochs"]) == (None, 0, 10)
    before = IntegerModel.load(finished / "winner-9500fps.pulsar")
    after = IntegerModel.load(finished / report["model"])
    assert after.shape == before.shape and after.hash == report["model_hash"] != before.hash
    assert after.info["before"] == before.hash
    assert after.info["predicted_cycles"] == before.info["predicted_cycles"] == report["cycles"]


def test_figures_are_those_of_the_models_on_the_test_images(report, finished):
    test, figures = load_digits_test(), report["test"]
    answers = {
        part: evaluate_model(IntegerNetwork(IntegerModel.load(finished / name)), test)
        for part, name in (("before", "winner-9500fps.pulsar"), ("after", report["model"]))
    }
    for part, result in answers.items():
        assert figures[part]["accuracy"] == result.accuracy
        assert figures[part]["cross_entropy"] == pytest.approx(np.mean(result.cross_entropy))
    change = answers["after"].cross_entropy - answers["before"].cross_entropy
    assert figures["cross_entropy_difference"]["mean"] == pytest.approx(change.mean(), abs=1e-6)
    assert figures["images"] == len(test) == report["golden_images"]


def test_the_file_is_documented(report):
    known = keys(FINETUNE)
    assert set(found(report, known)) == known
    assert f"| `schema` | {report['schema']} |" in section(FINETUNE)


def test_the_same_command_trains_nothing_again(report, finished, monkeypatch, capsys):
    monkeypatch.setattr(Trainer, "advance", lambda *_: pytest.fail("trained again"))
    assert run(finished, *LABELS_ALONE) == 0
    assert json.loads((finished / "finetuned-9500fps.json").read_text()) == report
    assert "fine-tuning helped" in capsys.readouterr().out


def test_a_winner_that_did_not_gain_is_kept(report, finished, monkeypatch, capsys):
    """Of all winners; a rate that ruins a network is not a matter of chance."""
    assert run(finished, "--epochs", "1", "--learning-rate", "0.5") == 0
    for rate in ("9500", "28000"):
        found = json.loads((finished / f"finetuned-{rate}fps.json").read_text())
        assert found["kept"] == WINNER and found["model"] == f"winner-{rate}fps.pulsar"
        assert not (finished / f"finetuned-{rate}fps.pulsar").exists()
        assert found["validation"]["cross_entropy_difference"]["mean"] > 0
        assert (found["teacher"], found["teacher_share"]) == ("largest subnet", 1)
    assert capsys.readouterr().out.count("did not help: the winner is kept") == 2


def test_mistakes_are_one_line(finished, tmp_path, capsys):
    def said(folder, *args):
        assert run(folder, *args) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line.removeprefix(f"{PROG}: error: ")

    assert said(tmp_path / "none") == f"{tmp_path / 'none'}: no such folder of a search"
    assert said(tmp_path) == f"{tmp_path}: no summary.json in it: no search"
    (tmp_path / "search.json").touch()
    assert said(tmp_path).endswith("the search is not finished: give its command again")
    assert said(finished, "--target", "123").endswith(
        "no winner of 123 frames per second: --target is one of 9500, 28000"
    )
    for option, value, message in (
        ("--epochs", "0", "--epochs must be from 1 to 100000, not 0"),
        ("--learning-rate", "0", "--learning-rate must be positive, not 0"),
        ("--teacher-share", "2", "--teacher-share must be from 0 to 1, not 2"),
        ("--device", "gpu9", "--device gpu9 cannot be used"),
    ):
        assert said(finished, option, value).startswith(message)
    old = tmp_path / "digits"
    shutil.copytree(finished, old)
    assert said(old).endswith(".pt: no such checkpoint")
    summary = json.loads((old / "summary.json").read_text())
    (old / "summary.json").write_text(json.dumps(summary | {"schema": 7}))
    assert said(old).endswith("schema 7, not 8: another version wrote it")


def test_another_models_file_is_refused(finished, capsys):
    model = finished / "winner-28000fps.pulsar"
    content = model.read_bytes()
    model.write_bytes((finished / "winner-9500fps.pulsar").read_bytes())
    assert run(finished, "--target", "28000") == 2
    assert "is not the model that the search wrote" in capsys.readouterr().err
    model.write_bytes(content)
