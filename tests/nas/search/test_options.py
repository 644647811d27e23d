"""Options of the search: wrong ones are refused in one line."""

import pytest

from tests.nas.search.runs import PROG, run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--board", "zcu106"],
            "unknown board 'zcu106': choose one of kv260, sim, ulx3s, zcu102, zcu104, or a path"
            " ending in .toml",
        ),
        (["--engine", "huge"], "unknown engine 'huge': choose one of tiny, ulx3s, zcu102"),
        (
            ["--images", "1001"],
            "--images must be from 0 to 1000, the number of test images, not 1001",
        ),
        (["--images", "-1"], "--images must be from 0 to 1000000, not -1"),
        (["--population", "3"], "--population must be from 4 to 10000, not 3"),
        (["--seed", "-1"], "--seed must be from 0 to 4294967295, not -1"),
        (["--split", "5"], "--split must be from 0 to 4, not 5"),
        (["--threads", "0"], "--threads must be from 1 to 256, not 0"),
        (["--tolerance", "-1"], "--tolerance must be from 0 to 100, not -1"),
        (
            ["--objectives", "cycles", "cycles"],
            "--objectives must name at least one, and each once",
        ),
        (
            ["--objectives", "energy_joules", "--restart"],
            "energy is uncalibrated on board 'sim': import a power report with"
            " python -m nas.calibrate --board sim --power REPORT --network MODEL",
        ),
        (["--targets", "0"], "--targets must be positive, not 0"),
        (["--targets", "100", "100"], "--targets must differ from each other"),
        (["--targets", "9000", "9000.0001"], "--targets must differ from each other within six"),
        (["--seed", "4294967296"], "--seed must be from 0 to 4294967295, not 4294967296"),
        (["--threads", "100000"], "--threads must be from 1 to 256, not 100000"),
        (["--name", ""], "--name must be the name of a folder in OUT, not ''"),
        (["--name", ".."], "--name must be the name of a folder in OUT, not '..'"),
        (["--name", "a/b"], "--name must be the name of a folder in OUT, not 'a/b'"),
        (["--name", "supernets"], "--name must be the name of a folder in OUT, not 'supernets'"),
        (["--device", "toaster"], "--device toaster cannot be used: "),
        (["--workers", "0"], "--workers must be from 1 to 256, not 0"),
    ],
)
def test_refused_in_one_line(arguments, message, tmp_path, capsys):
    assert run(tmp_path, *arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"{PROG}: error: {message.replace('OUT', str(tmp_path))}")
    assert not any(tmp_path.iterdir())


def test_torchrun_is_refused(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run(tmp_path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "torchrun is for training alone: start torchrun -m nas.train, then this" in line
    assert not any(tmp_path.iterdir())
