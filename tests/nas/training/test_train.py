"""Training: it learns, it is a function of its seed, and being killed changes nothing."""

import signal
from dataclasses import replace

import pytest
import torch
from rich.console import Console

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


@pytest.mark.parametrize("stop", [2, 6, 9])
def test_interrupted_run_resumes_bit_for_bit(short, tiny_data, tmp_path, monkeypatch, stop):
    whole = train_supernet(short, tmp_path / "whole", tiny_data, console=QUIET)
    advance = Trainer.advance

    def interrupt(trainer):
        losses = advance(trainer)
        if trainer.step == stop:
            signal.raise_signal(signal.SIGINT)
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
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_finished_run_is_reused(tiny_config, tiny_checkpoint, tiny_data, monkeypatch):
    monkeypatch.setattr(Trainer, "advance", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(Trainer, "save", lambda *_: pytest.fail("written again"))
    again = train_supernet(tiny_config, tiny_checkpoint.parent, tiny_data, console=QUIET)
    assert again == tiny_checkpoint
