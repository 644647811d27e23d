"""Options of the command that trains alone: wrong ones are refused in one line."""

import pytest

from tests.nas.task.folders import fill
from tests.nas.train.runs import PROG, train


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path / "bugs", 4, size=(8, 8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch", "32"], "--batch needs --data or --task: the digits have their own recipe"),
        (["--clip-grad", "1"], "--clip-grad needs --data or --task"),
        (["--data", "FOLDER", "--batch", "0"], "the recipe: batch = 0: input should be greater"),
        (["--data", "FOLDER", "--drop-path", "1"], "the recipe: drop_path = 1.0: input should be"),
        (["--data", "FOLDER", "--device", "cuda:99"], "--device cuda:99 cannot be used: "),
        (["--device", "mps"], "--device mps cannot be used: "),
        (["--engine", "free"], "unknown engine 'free': choose one of"),
        (["--threads", "0"], "--threads must be from 1 to 256, not 0"),
    ],
)
def test_refused_in_one_line(arguments, message, folder, tmp_path, capsys):
    arguments = [str(folder) if each == "FOLDER" else each for each in arguments]
    assert train(tmp_path / "runs", *arguments) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"{PROG}: error: {message}") and "Traceback" not in line
    assert not (tmp_path / "runs").exists()
