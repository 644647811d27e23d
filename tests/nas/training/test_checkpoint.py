"""The file of a training run: damaged ones are named, and a full disk leaves the old one."""

import os
import pickle
import resource

import pytest
from rich.console import Console

from nas.training.checkpoint import checkpoint_path, load_supernet
from nas.training.train import train_supernet
from nas.training.trainer import Trainer
from rtl.errors import UserError

QUIET = Console(quiet=True)


@pytest.mark.parametrize("content", [b"", b"half a file", b"\x80\x04.", pickle.dumps([1, 2])])
def test_damaged_checkpoint_is_named(content, short, tiny_data, tmp_path):
    path = checkpoint_path(short, tmp_path, tiny_data)
    path.write_bytes(content)
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
