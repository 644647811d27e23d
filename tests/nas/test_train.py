"""Training: it learns, it is a function of its seed, and being killed changes nothing."""

import os
import resource
import signal
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from nas import train
from nas.evaluate import evaluate_subnet
from nas.train import (
    TrainConfig,
    Trainer,
    checkpoint_path,
    load_supernet,
    read_checkpoint,
    train_supernet,
)
from rtl.errors import UserError

QUIET = Console(quiet=True)


@pytest.fixture
def short(tiny_config) -> TrainConfig:
    return replace(tiny_config, float_epochs=1, quantized_epochs=1)  # 6 + 6 steps


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
    monkeypatch.setattr(Trainer, "run", lambda *_: pytest.fail("trained again"))
    again = train_supernet(tiny_config, tiny_checkpoint.parent, tiny_data, console=QUIET)
    assert again == tiny_checkpoint


def test_key_depends_on_configuration_recipe_and_pictures(tiny_config, tiny_data, monkeypatch):
    keys = {
        tiny_config.key(tiny_data),
        replace(tiny_config, batch=16).key(tiny_data),
        tiny_config.key(replace(tiny_data, train=tiny_data.validation)),
    }
    monkeypatch.setattr(train, "RECIPE", train.RECIPE + 1)
    keys.add(tiny_config.key(tiny_data))
    assert len(keys) == 4


def test_config_survives_json(tiny_config):
    assert TrainConfig.from_json(tiny_config.to_json()) == tiny_config


def test_damaged_checkpoint_is_named(short, tiny_data, tmp_path):
    path = checkpoint_path(short, tmp_path, tiny_data)
    path.write_bytes(b"half a file")
    with pytest.raises(UserError, match=r"supernet-\w+\.pt: damaged, or not a checkpoint"):
        train_supernet(short, tmp_path, tiny_data, console=QUIET)
    with pytest.raises(UserError, match=r"absent\.pt: no such checkpoint"):
        load_supernet(tmp_path / "absent.pt")


def test_a_full_disk_is_named_and_leaves_the_old_checkpoint(short, tiny_data, tmp_path):
    trainer = Trainer(short, tiny_data, tmp_path / "run.pt")
    trainer.save()
    old = trainer.path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(old) // 2, limits[1]))
    try:
        with pytest.raises(OSError) as error:
            trainer.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.value.filename == str(trainer.path)
    assert trainer.path.read_bytes() == old and os.listdir(tmp_path) == ["run.pt"]


def test_config_refuses_no_epochs():
    with pytest.raises(ValueError, match="float_epochs must be at least 1, not 0"):
        TrainConfig(float_epochs=0)


def test_every_width_and_fraction_is_sampled(tiny_config, tiny_data, tmp_path):
    trainer = Trainer(tiny_config, tiny_data, tmp_path / "none.pt")
    widths, fractions = set(), set()
    for turn in range(6):
        trainer.step = trainer.float_steps + turn
        subnets = trainer._subnets()
        assert list(subnets) == ["largest", "random0", "random1", "smallest"]
        widths |= {subnets["random0"].width, subnets["random1"].width}
        fractions.add(subnets["largest"].head_wide)
    assert widths == {8, 16} and fractions == {0.0, 0.5, 1.0}
