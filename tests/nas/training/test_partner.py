"""A second process in training: the same bytes as one, and what happens when it is gone."""

from dataclasses import replace

import pytest
import torch
from rich.console import Console

from nas.training import train
from nas.training.checkpoint import read_checkpoint
from nas.training.partner import Partner, added, enough_shared_memory, taken
from nas.training.train import train_supernet
from nas.training.trainer import Trainer
from rtl.errors import UserError

QUIET = Console(quiet=True)


@pytest.mark.parametrize("changes", [{}, {"mixup": 0.8, "drop_path": 0.3, "clip_grad": 0.1}])
def test_a_partner_changes_no_byte(short, tiny_data, tmp_path, changes):
    config = replace(short, **changes)
    one, two = (
        read_checkpoint(
            train_supernet(config, tmp_path / str(n), tiny_data, console=QUIET, workers=n)
        )
        for n in (1, 2)
    )
    assert one["finished"] and two["finished"] and one["net"].keys() == two["net"].keys()
    for name, value in one["net"].items():
        same = torch.equal(value, two["net"][name]) if torch.is_tensor(value) else True
        assert same, name


def test_it_takes_the_random_subnets(short, tiny_data, tmp_path, monkeypatch):
    seen, advance = [], Trainer.advance

    def look(trainer):
        seen.append((trainer.step, trainer.partner is not None))
        return advance(trainer)

    monkeypatch.setattr(Trainer, "advance", look)
    train_supernet(short, tmp_path, tiny_data, console=QUIET, workers=2)
    first = min(step for step, helped in seen if helped)
    trainer = Trainer(short, tiny_data, tmp_path / "other.pt")
    assert first == trainer.float_steps + 1 and all(helped for step, helped in seen if step > first)
    assert not Trainer(replace(short, chained=True), tiny_data, tmp_path / "a.pt").takes_partner


def test_a_run_without_its_partner_says_how_to_go_on(short, tiny_data, tmp_path, monkeypatch):
    class Killed(Partner):
        def begin(self, *args):
            self._process.kill()
            self._process.join()
            super().begin(*args)

    monkeypatch.setattr(train, "Partner", Killed)
    with pytest.raises(UserError, match=r"second training process ended by itself \(exit code -9"):
        train_supernet(short, tmp_path, tiny_data, console=QUIET, workers=2)
    monkeypatch.undo()
    path = train_supernet(short, tmp_path, tiny_data, console=QUIET)
    assert read_checkpoint(path)["finished"]


def test_too_little_shared_memory_is_one_line():
    wanted = r"needs more shared memory \(unable to write\): enlarge /dev/shm"
    with pytest.raises(UserError, match=wanted), enough_shared_memory():
        raise RuntimeError("unable to write\nat some line")


def test_gradients_are_added_in_place(short, tiny_data, tmp_path):
    net = Trainer(short, tiny_data, tmp_path / "run.pt").net
    first, second, *_ = net.parameters()
    first.grad = torch.ones_like(first)
    found = taken(net)
    assert first.grad is None and found[0] is not None and (found[0] == 1).all()
    some = {first, second}
    other = [torch.full_like(p, 2.0) if p in some else None for p in net.parameters()]
    total = added(found, other)
    assert total is found and total[0].unique().tolist() == [3.0]
    assert total[1].unique().tolist() == [2.0] and total[1] is not other[1]
    assert total[2:] == [None] * (len(total) - 2)
