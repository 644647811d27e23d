"""Options of a task that do not go together, or are beyond their limits."""

import pytest

from nas.digits import SPACES, SPLITS
from nas.task.options import DIGITS_SPACES, TASK_LIMITS, TaskOptions
from rtl.errors import UserError
from tests.nas.search.runs import run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "a", "--task", "b.toml"], "--data and --task exclude each other"),
        (["--space", "tiny"], "--space needs --data: the digits (--space digits or digits-"),
        (["--task", "b.toml", "--space", "digits-keep"], "--space needs --data"),
        (["--task", "b.toml", "--patch", "4"], "--patch needs --data: the digits (--space"),
        (["--data", "a", "--image-size", "0"], "--image-size must be from 1 to 4096, not 0"),
        (["--data", "a", "--split", "1"], "--split is of the digits: a folder has its own parts"),
        (["--skip-unreadable"], "--skip-unreadable needs --data or --task"),
        (["--start-checkpoint", "a.pth"], "--start-checkpoint needs --start"),
        (["--teacher-checkpoint", "a.pth"], "--teacher-checkpoint needs --teacher: timm's name"),
        (["--teacher-share", "0.5"], "--teacher-share needs --teacher"),
        (
            ["--teacher", "a", "--teacher-share", "1.5"],
            "--teacher-share must be from 0 to 1, not 1.5",
        ),
        (["--teacher", "a"], "a: no file, no folder, and no name of timm's"),
        (["--start", "vit_tiny_patch16_224"], "vit_tiny_patch16_224: no weights: give"),
        (["--data", "none"], "none: no such folder"),
        (["--task", "none.toml"], "No such file or directory: none.toml"),
    ],
)
def test_refused(arguments, message, tmp_path, capsys):
    assert run(tmp_path, *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line and not any(tmp_path.iterdir())


def test_every_split_can_be_chosen():
    assert TASK_LIMITS["split"] == (0, SPLITS - 1)


def test_every_space_of_the_digits_can_be_chosen():
    assert DIGITS_SPACES == tuple(SPACES)
    options = [TaskOptions(space=name) for name in ("Digits-Keep", *DIGITS_SPACES)]
    assert [each.run_name for each in options] == ["digits-keep", *DIGITS_SPACES]


def test_a_run_is_named_by_its_images(tmp_path):
    assert TaskOptions().run_name == "digits" and TaskOptions().of_digits
    assert TaskOptions(data=tmp_path / "bugs", out=tmp_path).folder == tmp_path / "bugs"
    assert TaskOptions(task=tmp_path / "a.toml").run_name == "a"
    assert TaskOptions(task=tmp_path / "a.toml", name="b").run_name == "b"
    with pytest.raises(UserError, match="--name must be the name of a folder in runs"):
        TaskOptions(name="supernets")
