"""What a user sees: exit codes and the text of messages, in this process and in a real one."""

import errno
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
import tyro

from rtl.cli import EngineName, Flag, OptionalPath, command
from rtl.errors import ToolError, UserError

PROG = "python -m rtl.example"


@dataclass(frozen=True)
class Options:
    """Options of the example.

    Parameters
    ----------
    board : str
        Which board to build for.
    jobs : int
        How many at once.
    """

    board: str = "sim"
    jobs: int = 1
    log_threads: int | None = None
    limit: Annotated[float, tyro.conf.arg(metavar="MINUTES")] = 1.0
    size: tuple[int, int] = (1, 2)
    order: tuple[Literal["up", "down"], ...] = ()
    one: Literal["one"] = "one"
    check: bool = True

    def __post_init__(self):
        if self.jobs < 1:
            raise UserError(f"--jobs {self.jobs}: at least 1")


@dataclass(frozen=True)
class Positional:
    """Options with a path that must be given."""

    model: Annotated[Path, tyro.conf.Positional]
    """Where the model lies."""


@dataclass(frozen=True)
class Wordy:
    """The first paragraph.

    A second one with more words in it than fit in a line of eighty columns, so that it is broken
    (here even before a parenthesis) into two or three lines, wherever it was broken in the source.
    """

    engine: EngineName = None
    check: Flag = True
    """Leave out the check."""
    log: OptionalPath = None
    """Also write this file."""


def run(error=None, args=(), result=None):
    def main(options: Options) -> int | None:
        """Build an engine."""
        if error is not None:
            raise error
        return result

    return command(main, prog=PROG, args=args)


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (3, 3)])
def test_return_value(result, code):
    assert run(result=result) == code


def test_options_come_from_the_dataclass():
    seen = []

    def main(options: Options) -> None:
        seen.append(options)

    assert command(main, prog=PROG, args=["--board", "zcu102", "--jobs", "2"]) == 0
    assert seen == [Options("zcu102", 2)]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("unknown board 'x'"), 2, "error: unknown board 'x'"),
        (ToolError("yosys failed:\n  line"), 1, "error: yosys failed:\n  line"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/runs/a"),
            2,
            "error: Permission denied: /runs/a",
        ),
        (OSError(errno.EXDEV, "Cross-device", "a", None, "b"), 2, "error: Cross-device: a -> b"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "error: No space left on device"),
        (OSError("odd"), 2, "error: odd"),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch.nn"),
            2,
            "error: Python package 'torch' not found: pip install 'pulsar-vit[rtl]'",
        ),
        (KeyboardInterrupt(), 130, "interrupted"),
        (KeyboardInterrupt("epoch 3 is saved"), 130, "epoch 3 is saved"),
    ],
)
def test_expected_failures(error, code, message, capsys):
    assert run(error) == code
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", f"{PROG}: {message}\n")


def test_a_mistake_in_an_option_value(capsys):
    assert run(args=["--jobs", "0"]) == 2
    assert capsys.readouterr().err == f"{PROG}: error: --jobs 0: at least 1\n"


@pytest.mark.parametrize(
    "error", [ZeroDivisionError(), ModuleNotFoundError("No module", name="rtl.gone")]
)
def test_defects_are_not_hidden(error):
    with pytest.raises(type(error)):
        run(error)


def test_debug_shows_the_traceback(monkeypatch, capsys):
    monkeypatch.setenv("PULSAR_DEBUG", "1")
    assert run(UserError("wrong")) == 2
    output = capsys.readouterr().err
    assert "Traceback (most recent call last)" in output
    assert output.endswith(f"{PROG}: error: wrong\n")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("--bord sim", "unknown option --bord: the nearest is --board"),
        ("--jobs 2 --thread=3 more", "unknown option --thread: the nearest is --log-threads"),
        ("--minutes 3", "unknown option --minutes: the nearest is --limit"),
        ("--elsewhere", "unknown option --elsewhere: --help lists the options"),
        ("-j 4", "unknown option -j: --help lists the options"),
        ("--check", "unknown option --check: the nearest is --no-check"),
        ("--jobs x --bord sim", "unknown option --bord: the nearest is --board"),
        ("stray", "unexpected argument 'stray': --help lists the options"),
        ("--jobs many", "--jobs takes INT, not 'many'"),
        ("--jobs=many", "--jobs takes INT, not 'many'"),
        ("--jobs 1 --jobs many", "--jobs takes INT, not 'many'"),
        ("--log_threads many", "--log-threads takes INT, not 'many'"),
        ("--limit soon", "--limit takes MINUTES, not 'soon'"),
        ("--jobs", "--jobs needs a value"),
        ("--size 3", "--size needs 2 values"),
        ("--order", "--order needs a value"),
        ("--order --jobs 3", "--order needs a value"),
        ("--order up sideways", "--order sideways: choose from up, down"),
        ("--one two", "--one two: choose only one"),
    ],
)
@pytest.mark.parametrize("columns", ["20", "200"])
def test_wrong_usage_is_one_line(args, message, columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    assert run(args=args.split()) == 2
    assert capsys.readouterr().err == f"{PROG}: error: {message}\n"
    assert os.environ["COLUMNS"] == columns


def test_a_missing_argument_is_one_line(capsys):
    def main(options: Positional) -> None: ...

    assert command(main, prog=PROG, args=[]) == 2
    assert capsys.readouterr().err == f"{PROG}: error: PATH is missing: Where the model lies\n"
    assert command(main, prog=PROG, args=["--modle", "x"]) == 2
    message = "unknown option --modle: --help lists the options"
    assert capsys.readouterr().err == f"{PROG}: error: {message}\n"


def test_help(capsys):
    with pytest.raises(SystemExit) as stop:
        run(args=["--help"])
    assert stop.value.code == 0
    output = capsys.readouterr().out
    for text in (PROG, "Options of the example.", "--board", "Which board to build for."):
        assert text in output


def test_help_fits_80_columns(monkeypatch, capsys):
    def main(options: Wordy) -> None: ...

    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        command(main, prog=PROG, args=["--help"])
    text = capsys.readouterr().out.replace("\u200b", "")
    lines = [line.rstrip() for line in text.splitlines()]
    assert max(map(len, lines)) <= 80
    first = lines.index("  The first paragraph.")
    assert lines[first + 1] == "" and lines[first + 2].startswith("  A second one")
    assert " ".join(Wordy.__doc__.split()) in " ".join(text.split())
    words = " ".join(text.replace("│", " ").split())
    assert "--engine NAME|FILE Engine: tiny, " in words and "(default: the board's)" in words
    assert "--no-check" in text and " --check" not in text
    assert "None" not in text and "True" not in text


SCRIPT = """
import sys, time
from dataclasses import dataclass
from rtl.cli import command

@dataclass(frozen=True)
class Options:
    lines: int = 0

def main(options: Options) -> None:
    for _ in range(options.lines):
        print("line")
    print("ready", file=sys.stderr, flush=True)
    time.sleep(0 if options.lines else 60)

sys.exit(command(main, prog="example"))
"""


def start(*args: str) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )


def test_ctrl_c_in_a_real_process():
    with start() as process:
        assert process.stderr.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "example: interrupted\n"
    assert process.returncode == 130


def test_a_reader_that_goes_away():
    with start("--lines", "100000") as process:
        assert process.stdout.readline() == "line\n"
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 1
