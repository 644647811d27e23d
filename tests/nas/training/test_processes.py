"""Two real processes against one: gradients, a whole run, refusals."""

import os
import pickle
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.training.checkpoint import read_checkpoint
from nas.training.processes import Processes, buckets, joined
from nas.training.trainer import Trainer
from rtl.errors import UserError

ROOT = Path(__file__).parents[3]
MIXED = {"mixup": 0.8, "cutmix": 1.0, "drop_path": 0.3, "clip_grad": 0.1, "batch": 30}


def run_pair(folder: Path) -> list[dict]:
    """Start tests.nas.training.pair twice, as ``torchrun`` would; return what both found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    names = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.nas.training.pair", str(folder)],
            env={**os.environ, **names, "RANK": str(rank), "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=200)[1] for process in both]
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0], errors
    return [pickle.loads((folder / f"found{rank}.pickle").read_bytes()) for rank in range(2)]


@pytest.fixture(scope="module")
def states(short, tiny_data, tmp_path_factory):
    """Runs in both stages, as they are and with everything that is drawn by image."""
    folder, states = tmp_path_factory.mktemp("states"), {}
    for name, config in (("plain", short), ("mixed", replace(short, **MIXED))):
        for steps in (2, 8):
            trainer = Trainer(config, tiny_data, folder / f"{name}{steps}.pt")
            for _ in range(steps):
                trainer.advance()
            trainer.save()
            states[f"{name}{steps}"] = config, trainer.path
    return states


@pytest.fixture(scope="module")
def pair(short, tiny_data, states, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    (folder / "given.pickle").write_bytes(pickle.dumps((short, tiny_data, states)))
    return run_pair(folder)


def distance(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Norm of a difference over that of what is expected, all tensors as one vector."""
    difference = sum(np.square(a - b).sum() for a, b in zip(found, expected, strict=True))
    return float(difference / sum(np.square(b).sum() for b in expected)) ** 0.5


@pytest.mark.parametrize("name", ["plain2", "plain8", "mixed2", "mixed8"])
def test_two_processes_have_the_gradients_of_one(pair, states, tiny_data, name):
    config, path = states[name]
    trainer = Trainer(config, tiny_data, path)
    trainer._gradients()
    expected = {n: p.grad.numpy() for n, p in trainer.net.named_parameters() if p.grad is not None}
    for process in pair:
        found = process["gradients"][name]
        assert found.keys() == expected.keys()
        assert distance([*found.values()], [*expected.values()]) <= 1e-6
        for matrix in (n for n in expected if n.endswith(".weight") and np.any(expected[n])):
            assert distance([found[matrix]], [expected[matrix]]) <= 1e-5, matrix
    own, other = (process["gradients"][name] for process in pair)
    assert all(np.array_equal(own[n], other[n]) for n in own)


def test_two_processes_train_one_supernet(pair, tmp_path):
    paths = {process["path"] for process in pair}
    assert len(paths) == 1
    state = read_checkpoint(paths.pop())
    assert state["finished"] and state["step"] == 12
    assert all(value.isfinite().all() for value in state["net"].values() if torch.is_tensor(value))


def test_the_first_process_says_what_all_refuse(pair):
    own, other = (process["ends"] for process in pair)
    assert own["data"].startswith("process 1 and process 0 have other images or another recipe")
    assert own["disagree"] == "process 1: its disk is full"
    assert own["diverged"].startswith("training diverged at step ")
    assert other == {"data": "2", "disagree": "2", "diverged": "2"}
    assert [process["all"] for process in pair] == [["me", "me"]] * 2


def test_a_process_by_itself(tmp_path):
    with joined("cpu") as alone:
        assert (alone.rank, alone.count, alone.device.type) == (0, 1, "cpu")
        with pytest.raises(FileNotFoundError), alone.agreed():
            (tmp_path / "absent").read_text()
    assert Processes(1, 2).share(4).positions.tolist() == [1, 2]


def test_a_batch_too_small_for_all_is_refused(short, tiny_data, tmp_path):
    with pytest.raises(UserError, match="a batch of 32 images is too small for 17 processes"):
        Trainer(short, tiny_data, tmp_path / "run.pt", Processes(0, 17))


@pytest.mark.parametrize("device", ["mps", "cuda:1"])
def test_torchrun_chooses_the_gpu(monkeypatch, device):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match=f"must be cpu or cuda with torchrun, not {device}"):
        with joined(device):
            pass


def test_buckets_hold_one_type_and_a_size():
    tensors = [torch.zeros(3), torch.zeros(3), torch.zeros(1, dtype=torch.float64), torch.zeros(9)]
    assert [[len(t) for t in bucket] for bucket in buckets(tensors, 24)] == [[3, 3], [1], [9]]
