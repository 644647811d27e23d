"""Training: it learns, it is a function of its seed, and being killed changes nothing."""

import itertools
import os
import resource
import signal
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nas.training import train
from nas.training.checkpoint import checkpoint_path, load_supernet, read_checkpoint
from nas.training.evaluate import evaluate_subnet
from nas.training.train import train_supernet
from nas.training.trainer import Trainer
from rtl.errors import UserError

QUIET = Console(quiet=True)


def assert_same_state(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    for name, value in a["net"].items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, b["net"][name]), name
        else:
            assert value == b["net"][name]


def test_subnets_learn(tiny_checkpoint, tiny_data):
    net = load_supernet(tiny_checkpoint)
    space = net.config.space  # its smallest subnet has 8 channels and one head; chance is 1/3
    for arch, least in ((space.largest(0.0), 0.8), (space.smallest(1.0), 0.5)):
        assert evaluate_subnet(net, arch, tiny_data.validation).accuracy > least


def test_same_seed_same_weights(short, tiny_data, tmp_path):
    runs = [train_supernet(short, tmp_path / name, tiny_data, console=QUIET) for name in "ab"]
    states = [read_checkpoint(path) for path in runs]
    assert_same_state(*states)
    other = train_supernet(replace(short, seed=1), tmp_path / "a", tiny_data, console=QUIET)
    assert other != runs[0]
    head = "head.weight"
    assert not torch.equal(read_checkpoint(other)["net"][head], states[0]["net"][head])


@pytest.mark.parametrize(
    ("stop", "number"), [(2, signal.SIGINT), (6, signal.SIGTERM), (9, signal.SIGINT)]
)
def test_interrupted_run_resumes_bit_for_bit(short, tiny_data, tmp_path, monkeypatch, stop, number):
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    whole = train_supernet(short, tmp_path / "whole", tiny_data, console=QUIET)
    advance = Trainer.advance

    def interrupt(trainer):
        losses = advance(trainer)
        if trainer.step == stop:
            signal.raise_signal(number)
        return losses

    monkeypatch.setattr(Trainer, "advance", interrupt)
    with pytest.raises(KeyboardInterrupt, match=f"interrupted at step {stop} of 12"):
        train_supernet(short, tmp_path / "cut", tiny_data, console=QUIET)
    monkeypatch.undo()
    path = checkpoint_path(short, tmp_path / "cut", tiny_data)
    assert read_checkpoint(path)["step"] == stop
    with pytest.raises(UserError, match=f"training is not finished \\(step {stop}\\)"):
        load_supernet(path)
    assert train_supernet(short, tmp_path / "cut", tiny_data, console=QUIET) == path
    assert_same_state(read_checkpoint(path), read_checkpoint(whole))
    assert {each: signal.getsignal(each) for each in before} == before


def killed(work, after: int, late: bool) -> bool:
    """Do work in a process that is killed at a step, behind it or before it; say if it was."""
    with warnings.catch_warnings(action="ignore"):  # of forks, from Python 3.12 on
        child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    advance, calls = Trainer.advance, itertools.count(1)

    def watched(trainer):
        last = next(calls) == after
        if last and not late:
            os.kill(os.getpid(), signal.SIGKILL)
        losses = advance(trainer)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return losses

    Trainer.advance = watched
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def test_a_run_killed_20_times_has_equal_bytes(short, tiny_data, tmp_path, monkeypatch):
    config = replace(short, float_epochs=2, quantized_epochs=3)
    monkeypatch.setattr(train, "SAVE_STEPS", 2)
    whole = train_supernet(config, tmp_path / "whole", tiny_data, console=QUIET)

    def work():
        train_supernet(config, tmp_path / "cut", tiny_data, console=QUIET)

    rng = np.random.default_rng(0)
    path = checkpoint_path(config, tmp_path / "cut", tiny_data)
    steps = set()
    for _ in range(20):
        assert killed(work, int(rng.integers(1, 5)), bool(rng.integers(2)))
        steps.add(read_checkpoint(path)["step"])
    assert len(steps) > 5
    work()
    assert path.read_bytes() == whole.read_bytes()


def test_tensorboard_shows_losses_figures_and_accuracies(short, tiny_data, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "LOG_STEPS", 5)
    monkeypatch.setattr(train, "VALIDATE_EPOCHS", 1)
    path = train_supernet(short, tmp_path, tiny_data, console=QUIET)
    events = EventAccumulator(str(tmp_path / "tensorboard" / path.stem))
    events.Reload()
    names = {
        "loss/largest", "loss/random0", "loss/random1", "loss/smallest", "step/gradient_norm",
        "step/learning_rate", "validation/largest", "validation/smallest",
    }  # fmt: skip
    assert set(events.Tags()["scalars"]) == names
    assert [event.step for event in events.Scalars("step/gradient_norm")] == [5, 10]
    assert all(event.value > 0 for event in events.Scalars("step/gradient_norm"))


def test_too_little_memory_is_one_line(short, tiny_data, tmp_path):
    many = tiny_data.train.take(np.zeros(100_000, dtype=int))
    config = replace(short, batch=len(many))
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (150 << 20), limits[1]))
    try:
        with pytest.raises(
            UserError,
            match=r"^out of memory on the CPU: lower the recipe's batch, now 100000 images, or",
        ):
            train_supernet(config, tmp_path, replace(tiny_data, train=many), console=QUIET)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def test_a_finished_run_is_reused(tiny_config, tiny_checkpoint, tiny_data, monkeypatch):
    monkeypatch.setattr(Trainer, "advance", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(Trainer, "save", lambda *_: pytest.fail("written again"))
    again = train_supernet(tiny_config, tiny_checkpoint.parent, tiny_data, console=QUIET)
    assert again == tiny_checkpoint
