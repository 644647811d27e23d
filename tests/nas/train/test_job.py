"""The command that trains alone: what it writes, and that a search takes it up."""

import re
import shutil
from pathlib import Path

import pytest
import torch

from nas.search.options import SearchOptions
from nas.task.record import TaskRecord
from nas.training.checkpoint import load_supernet, read_checkpoint
from tests.nas.search.runs import prepared
from tests.nas.task.folders import fill
from tests.nas.train.runs import train

SHORT = ("--float-epochs", "1", "--quantized-epochs", "1", "--batch", "8")


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path / "bugs", 20, size=(8, 8))


def test_a_search_takes_the_supernet(folder, tmp_path, capsys):
    out = tmp_path / "runs"
    options = ("--mixup", "0.5", "--cutmix", "1", "--drop-path", "0.1", "--clip-grad", "1")
    assert train(out, "--data", str(folder), "--patch", "4", *SHORT, *options) == 0
    said = capsys.readouterr().out
    assert "Accuracy on 4 validation images: largest subnet " in said
    found = re.search(r"Wrote (\S+); a search that takes it: python -m nas.search (.*)", said)
    assert found
    checkpoint, arguments = Path(found[1]), found[2].split()
    assert load_supernet(checkpoint).config.space.classes == 2
    task = out / "bugs" / "task.toml"
    assert arguments == ["--name", "bugs", "--out", str(out), "--task", str(task)]
    recipe = TaskRecord.load(task).recipe
    assert (recipe.batch, recipe.mixup, recipe.drop_path, recipe.clip_grad) == (8, 0.5, 0.1, 1)
    assert (out / "bugs" / "split.json").is_file()
    setup = prepared(SearchOptions(task=task, name="bugs", out=out, images=0, targets=(9500,)))
    assert checkpoint.name == f"supernet-{setup.supernet_key[:12]}.pt"
    before = checkpoint.stat().st_mtime_ns
    assert train(out, "--task", str(task), "--name", "bugs") == 0
    assert checkpoint.stat().st_mtime_ns == before  # reused
    assert read_checkpoint(checkpoint)["step"] == 2 * 3


def test_the_digits_supernet_is_that_of_the_main_job(tmp_path, capsys):
    assert train(tmp_path, "--quick") == 0
    setup = prepared(SearchOptions(quick=True, out=tmp_path, images=0, targets=(9500,)))
    said = capsys.readouterr().out
    assert f"supernet-{setup.supernet_key[:12]}.pt; a search that takes it:" in said
    assert said.rstrip().endswith(f"python -m nas.search --out {tmp_path} --quick")


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_a_compiled_run_gives_the_same_bytes(folder, tmp_path):
    nets = []
    for name, options in (("plain", ()), ("compiled", ("--compile",))):
        out = tmp_path / name
        assert train(out, "--data", str(folder), "--patch", "4", *SHORT, *options) == 0
        [checkpoint] = (out / "supernets").glob("*.pt")
        nets.append((checkpoint.name, load_supernet(checkpoint).state_dict()))
    (name, plain), (same, compiled) = nets
    assert name == same
    for key, value in plain.items():
        assert key.endswith("_extra_state") or torch.equal(value, compiled[key]), key
