"""Runs many measurements on a pool of workers and remembers each as soon as it is there.

A sweep that was interrupted goes on where it was: finished points lie in a file, a JSON object per
line, under a key that says what was measured and with which code.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

from rtl.errors import UserError

SCHEDULER_SECONDS = 20  # until it must have answered
Json = Any
Progress = Callable[[int], None]


class Point(NamedTuple):
    """Something to be measured, by a module-level function that a worker process can import.

    Parameters
    ----------
    measure : callable
        From ``arguments`` to a JSON value.
    arguments : tuple
        Anything that can be pickled.
    identity : JSON value
        What was measured, and the code that decides the result.
    """

    measure: Callable[..., Json]
    arguments: tuple
    identity: Json

    @property
    def key(self) -> str:
        """Hash of the identity, 24 digits."""
        text = json.dumps(self.identity, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


class Results:
    """Finished points in a file that only grows.

    Parameters
    ----------
    path : Path
        Read if it is there; a last line that was cut off is left out.

    Raises
    ------
    UserError
        If another line cannot be read.
    """

    def __init__(self, path: Path):
        self.path = path
        self._known: dict[str, Json] = {}
        content = path.read_bytes() if path.is_file() else b""
        whole, _, rest = content.rpartition(b"\n")
        if rest:  # the line that was being written when the sweep was killed
            with path.open("r+b") as file:
                file.truncate(len(content) - len(rest))
        for number, line in enumerate(whole.split(b"\n") if whole else (), 1):
            try:
                record = json.loads(line)
                self._known[record["key"]] = record["value"]
            except (ValueError, KeyError, TypeError):
                raise UserError(f"{path}, line {number}: damaged: delete the line") from None

    def get(self, point: Point) -> Json | None:
        """The point's value, or None."""
        return self._known.get(point.key)

    def add(self, point: Point, value: Json) -> None:
        """Remember a value on disk."""
        self._known[point.key] = value
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = {"key": point.key, "identity": point.identity, "value": value}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def run_points(
    points: Sequence[Point], results: Results, executor: Executor, progress: Progress
) -> list[Json]:
    """Values of all points, in their order; only those that are not known are measured.

    Parameters
    ----------
    points : sequence of Point
    results : Results
        Takes each value as soon as it is there.
    executor : Executor
    progress : callable
        Called with the number of points that are done.
    """
    missing = {point.key: point for point in points if results.get(point) is None}
    done = len(points) - len(missing)
    progress(done)
    futures = {
        executor.submit(point.measure, *point.arguments): point for point in missing.values()
    }
    try:
        for future in as_completed(futures):
            results.add(futures[future], future.result())
            done += 1
            progress(done)
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    return [results.get(point) for point in points]


@contextmanager
def workers(count: int, scheduler: str | None = None) -> Iterator[Executor]:
    """A pool of processes on this machine, or a Dask cluster's workers.

    Parameters
    ----------
    count : int
        Processes here.
    scheduler : str, optional
        Address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``. Its workers need this
        package, Verilator and Yosys.

    Raises
    ------
    UserError
        If the scheduler does not answer.
    """
    if scheduler is None:
        context = get_context("spawn")
        with ProcessPoolExecutor(count, context, initializer=_end_with_parent) as pool:
            try:
                yield pool
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return
    from distributed import Client

    try:
        client = Client(scheduler, timeout=SCHEDULER_SECONDS)
    except (OSError, ValueError) as error:
        raise UserError(f"no Dask scheduler at {scheduler!r}: {error}") from None
    with client:
        yield client.get_executor()


def _end_with_parent() -> None:
    """Let a worker end when the sweep is killed; else it would wait for work for ever."""

    def watch() -> None:
        parent_process().join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()
