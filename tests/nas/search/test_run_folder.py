"""The folder of a run: other settings, other versions, other runs at work."""

import fcntl
import json

import pytest

from tests.nas.search.runs import PROG, copied, run


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["--seed", "5"], "seed 0, now 5; supernet "),
        (["--targets", "9000"], "targets [9500.0, 28000.0], now [9000.0]): choose another --name,"),
        (["--objectives", "array_cycles"], "objectives cycles, now array_cycles): choose"),
    ],
)
def test_other_settings_are_another_run(arguments, settings, runs, capsys):
    assert run(runs, *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    expected = f"{PROG}: error: {runs / 'digits'} holds a run with other settings ({settings}"
    assert line.startswith(expected)


def test_a_run_of_an_older_version_is_named_with_the_remedy(runs, capsys):
    state = runs / copied(runs, "older") / "search.json"
    data = json.loads(state.read_text()) | {"schema": 1}
    state.write_text(json.dumps(data))
    assert run(runs, "--name", "older") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{PROG}: error: {runs / 'older'} holds a run of an older version (")
    assert line.endswith("choose another --name, or discard it with --restart")
    assert json.loads(state.read_text()) == data  # nothing was written


def test_unwritable_run_directory(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run(tmp_path / "file") == 2
    expected = f"cannot write to run directory {tmp_path / 'file' / 'digits'}: Not a directory"
    assert capsys.readouterr().err == f"{PROG}: error: {expected}\n"


def test_two_searches_in_one_folder(runs, capsys):
    with (runs / "digits" / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert run(runs) == 2
    expected = f"error: another run is at work in {runs / 'digits'}\n"
    assert capsys.readouterr().err.endswith(expected)
