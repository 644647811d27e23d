"""Many measurements on a pool of workers, each kept as soon as it is there.

A sweep that was interrupted continues: finished measurements lie in a file, under a hash of all
that decides the result. The time that its stages took is kept, too.
"""

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import NamedTuple

from nas.cost.kept import Json, KeptResults
from rtl.errors import UserError
from rtl.files import atomic_write, sha256_of

SCHEDULER_SECONDS = 20  # until it must have answered
ReportDone = Callable[[int], None]


class Measurement(NamedTuple):
    """A call of a module-level function, which a worker process can import.

    Parameters
    ----------
    measure : callable
        Returns a JSON value.
    arguments : tuple
        Its arguments; they can be pickled.
    identity : JSON value
        All that decides the result.
    """

    measure: Callable[..., Json]
    arguments: tuple
    identity: Json

    @property
    def key(self) -> str:
        """The hash of the identity, 24 digits."""
        return sha256_of(json.dumps(self.identity, sort_keys=True))[:24]


def run_points(
    points: Sequence[Measurement], results: KeptResults, executor: Executor, progress: ReportDone
) -> list[Json]:
    """Return the values of all measurements in their order; those that are known are not repeated.

    Parameters
    ----------
    points : sequence of Measurement
    results : KeptResults
        Known values; each new one is added as soon as it is there.
    executor : Executor
        Pool of workers.
    progress : callable
        Called with the number of measurements that are done.
    """
    missing = {point.key: point for point in points if point.key not in results.values}
    done = len(points) - len(missing)
    progress(done)
    futures = {
        executor.submit(point.measure, *point.arguments): point for point in missing.values()
    }
    try:
        for future in as_completed(futures):
            results.add(futures[future].key, future.result())
            done += 1
            progress(done)
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    return [results.values[point.key] for point in points]


class StageClock:
    """Seconds by stage, in a file: an interrupted sweep continues to count.

    Parameters
    ----------
    path : Path
        Read if it is there.

    Raises
    ------
    UserError
        If it cannot be read.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            self.seconds = json.loads(path.read_text()) if path.is_file() else {}
        except ValueError as error:
            raise UserError(f"{path}: damaged: {error}: delete it") from None

    @property
    def total(self) -> float:
        """The seconds of all stages."""
        return round(sum(self.seconds.values()), 1)

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[], None]]:
        """Count the seconds of the block; call the value it yields to save them meanwhile."""
        before, started = self.seconds.get(name, 0.0), monotonic()

        def note() -> None:
            self.seconds[name] = round(before + monotonic() - started, 1)
            with atomic_write(self.path, "w") as file:
                json.dump(self.seconds, file)

        try:
            yield note
        finally:
            note()


@contextmanager
def workers(count: int, scheduler: str | None = None) -> Iterator[Executor]:
    """Open a pool of processes on this machine, or of a Dask cluster's workers.

    Parameters
    ----------
    count : int
        Number of processes on this machine.
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
        with ProcessPoolExecutor(count, context, initializer=end_with_parent) as pool:
            try:
                yield pool
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return
    from distributed import Client

    try:
        asyncio.run(_reach(scheduler))
    except (OSError, ValueError) as error:
        raise UserError(f"no Dask scheduler at {scheduler!r}: {error}") from None
    with Client(scheduler, timeout=SCHEDULER_SECONDS) as client:
        yield client.get_executor()


async def _reach(scheduler: str) -> None:
    """Connect to a scheduler and hang up.

    A ``Client`` that fails to connect stays behind half made; if the garbage collector finds it
    while another one starts, the two wait for each other forever (distributed 2026.8).
    """
    from distributed.comm.core import connect

    comm = await connect(scheduler, timeout=SCHEDULER_SECONDS)
    await comm.close()


def end_with_parent() -> None:
    """Let a worker end when the sweep is killed; otherwise it would wait for work forever."""

    def watch() -> None:
        parent_process().join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()
