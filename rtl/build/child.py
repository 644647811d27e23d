"""A program that runs as a child of the command, and does not go on without it."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

ENDING_S = 5.0  # for a program that is asked to end, before it is made to


def run_child(
    words: Sequence[str | Path], *, folder: Path | None = None, limit_s: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, without input; what it prints is taken for UTF-8 as far as it is.

    It gets a process group of its own, as vendors' tools are scripts that start the real program.
    The whole group ends when the command is stopped (Ctrl-C, SIGTERM, SIGHUP), or at the limit.

    Parameters
    ----------
    words : sequence of str or Path
        The program and its arguments.
    folder : Path, optional
        Where it runs.
    limit_s : float, optional
        How long it may run.

    Raises
    ------
    OSError
        If it does not start.
    subprocess.TimeoutExpired
        If it runs longer than the limit.
    KeyboardInterrupt
        If the command is stopped.
    """
    with (
        _interrupts() as allow,
        subprocess.Popen(
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        ) as child,
    ):
        try:
            allow()
            said, errors = child.communicate(timeout=limit_s)
        except BaseException:
            _end(child)
            raise
    return subprocess.CompletedProcess(words, child.returncode, said, errors)


def _end(child: subprocess.Popen) -> None:
    try:
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(child.pid, signal.SIGTERM)
            child.wait(ENDING_S)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


STOPPING = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}
"""Signals that end the command, unless somebody else handles them."""


@contextmanager
def _interrupts() -> Iterator[Callable[[], None]]:
    """Turn signals into an interrupt, once the function is called: the child's number is known."""
    in_main = threading.current_thread() is threading.main_thread()
    ours = [number for number, usual in STOPPING.items() if signal.getsignal(number) == usual]
    came: list[int] = []
    allowed = False

    def interrupt() -> None:
        name = signal.Signals(came[0]).name
        raise KeyboardInterrupt(*[f"ended by {name}"] if came[0] != signal.SIGINT else [])

    def handler(number: int, frame: object) -> None:
        came.append(number)
        if allowed:
            interrupt()

    def allow() -> None:
        nonlocal allowed
        allowed = True
        if came:
            interrupt()

    for number in ours if in_main else []:
        signal.signal(number, handler)
    try:
        yield allow
    finally:
        for number in ours if in_main else []:
            signal.signal(number, STOPPING[number])
