"""A child that ends with the command, and what it started, too."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rtl.build import child
from rtl.build.child import run_child

LIMIT_S = 20.0  # for a test on a busy machine


def ends(number: int) -> bool:
    """Wait until a process has ended, whether anybody has asked for its exit code or not."""
    stop = time.monotonic() + LIMIT_S
    while time.monotonic() < stop:
        try:
            state = Path(f"/proc/{number}/stat").read_text().rpartition(") ")[2][0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in "ZX":
            return True
        time.sleep(0.02)
    return False


def number_in(file: Path) -> int:
    """Wait for a file with a process' number."""
    stop = time.monotonic() + LIMIT_S
    while not (file.is_file() and file.read_text().endswith("\n")):
        assert time.monotonic() < stop, f"no {file}"
        time.sleep(0.02)
    return int(file.read_text())


def test_what_it_prints_need_not_be_text(tmp_path):
    ended = run_child(
        ["sh", "-c", r"pwd; printf 'a\377b'; printf '\374' >&2; exit 3"], folder=tmp_path
    )
    assert (ended.returncode, ended.stdout) == (3, f"{tmp_path}\na\ufffdb")
    assert ended.stderr == "\ufffd"


def test_it_has_no_input():
    assert run_child(["cat"]).stdout == ""


def test_all_of_it_ends_at_the_limit(tmp_path):
    """The program that a script starts ends, too."""
    words = ["sh", "-c", f"sleep 600 & echo $! > {tmp_path}/number; wait"]
    with pytest.raises(subprocess.TimeoutExpired):
        run_child(words, limit_s=1.0)
    assert ends(number_in(tmp_path / "number"))


def test_one_that_does_not_want_to_end(tmp_path, monkeypatch):
    monkeypatch.setattr(child, "ENDING_S", 0.1)
    words = ["sh", "-c", f"trap '' TERM; echo $$ > {tmp_path}/number; while :; do sleep 0.1; done"]
    with pytest.raises(subprocess.TimeoutExpired):
        run_child(words, limit_s=1.0)
    assert ends(number_in(tmp_path / "number"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_ends_with_the_command(tmp_path, number):
    program = (
        "import signal, sys; from rtl.build.child import run_child\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"try: run_child(['sh', '-c', 'sleep 600 & echo $! > {tmp_path}/number; wait'])\n"
        "except KeyboardInterrupt as error: sys.exit(f'stopped: {error}')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, cwd=os.getcwd()
    ) as command:
        asleep = number_in(tmp_path / "number")
        command.send_signal(number)
        _, said = command.communicate(timeout=LIMIT_S)
    name = "" if number == signal.SIGINT else f"ended by {number.name}"
    assert (command.returncode, said) == (1, f"stopped: {name}\n")
    assert ends(asleep)


def test_a_signal_before_it_has_started(tmp_path, monkeypatch):
    """It waits until the child can be ended."""
    started = []

    class Slow(subprocess.Popen):
        def __init__(self, *args, **options):
            os.kill(os.getpid(), signal.SIGTERM)
            super().__init__(*args, **options)
            started.append(self.pid)

    monkeypatch.setattr(child.subprocess, "Popen", Slow)
    with pytest.raises(KeyboardInterrupt, match="ended by SIGTERM"):
        run_child(["sleep", "600"])
    assert ends(started[0])


def test_signals_are_as_before():
    before = [signal.getsignal(number) for number in child.STOPPING]
    run_child(["true"])
    assert [signal.getsignal(number) for number in child.STOPPING] == before
