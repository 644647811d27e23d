"""Sweeps: each point measured once, kept when a later one fails or the run is interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future

import distributed
import pytest

from nas.cost import sweep
from nas.cost.kept import KeptResults
from nas.cost.sweep import Measurement, StageClock, run_points, workers
from rtl.errors import UserError


def square(number):
    if number < 0:
        raise ArithmeticError(f"no square of {number}")
    return {"square": number * number}


def points_of(*numbers):
    return [Measurement(square, (number,), ["square", number]) for number in numbers]


class Here(Executor):
    """Measures at once, and says how often."""

    def __init__(self):
        self.calls = []

    def submit(self, fn, /, *args, **kwargs):
        self.calls.append(args)
        future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except ArithmeticError as error:
            future.set_exception(error)
        return future


def test_values_come_in_the_order_of_the_points(tmp_path):
    done = []
    values = run_points(points_of(3, 1, 2), KeptResults(tmp_path / "p.txt"), Here(), done.append)
    assert values == [{"square": 9}, {"square": 1}, {"square": 4}]
    assert done[0] == 0 and done[-1] == 3


def test_a_known_point_is_not_measured_again(tmp_path):
    path = tmp_path / "folder" / "p.txt"
    run_points(points_of(1, 2), KeptResults(path), Here(), lambda done: None)
    pool, done = Here(), []
    values = run_points(points_of(2, 3, 3), KeptResults(path), pool, done.append)
    assert values == [{"square": 4}, {"square": 9}, {"square": 9}]
    assert pool.calls == [(3,)]


def test_finished_points_survive_a_failure(tmp_path):
    path = tmp_path / "p.txt"
    with pytest.raises(ArithmeticError, match="no square of -1"):
        run_points(points_of(5, -1), KeptResults(path), Here(), lambda done: None)
    known = KeptResults(path)
    assert points_of(-1)[0].key not in known.values
    pool = Here()
    run_points(points_of(5), known, pool, lambda done: None)
    assert len(pool.calls) <= 1


def test_processes_of_this_machine(tmp_path):
    with workers(2) as pool:
        values = run_points(
            points_of(2, 3), KeptResults(tmp_path / "p.txt"), pool, lambda done: None
        )
    assert values == [{"square": 4}, {"square": 9}]


KILLED = """
import os
from nas.cost.sweep import workers
if __name__ == "__main__":
    with workers(1) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        os.kill(os.getpid(), 9)
"""


def test_a_killed_sweep_leaves_no_process_behind(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    found = subprocess.run([sys.executable, script], stdout=subprocess.PIPE, text=True, timeout=60)
    assert found.returncode == -signal.SIGKILL
    worker, until = int(found.stdout), time.monotonic() + 20
    while time.monotonic() < until:
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker outlives the sweep")


def test_a_scheduler_that_is_not_there():
    pytest.importorskip("distributed")
    with pytest.raises(UserError, match="no Dask scheduler at 'nonsense'"), workers(1, "nonsense"):
        pass


def test_a_cluster(tmp_path):
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        workers(1, cluster.scheduler_address) as pool,
    ):
        points = points_of(2, 3)
        values = run_points(points, KeptResults(tmp_path / "p.txt"), pool, lambda done: None)
    assert values == [{"square": 4}, {"square": 9}]


def test_results_without_a_file_are_kept_in_memory():
    results, pool = KeptResults(), Here()
    for _ in range(2):
        assert run_points(points_of(3), results, pool, lambda done: None) == [{"square": 9}]
    assert len(pool.calls) == 1


@pytest.fixture
def now(monkeypatch):
    """A time that tests set."""
    time = [100.0]
    monkeypatch.setattr(sweep, "monotonic", lambda: time[0])
    return time


def test_an_interrupted_run_counts(now, tmp_path):
    first = StageClock(tmp_path / "seconds.json")
    with pytest.raises(KeyboardInterrupt), first.stage("rtl") as note:
        now[0] += 20
        note()
        assert json.loads(first.path.read_text()) == {"rtl": 20}
        now[0] += 5
        raise KeyboardInterrupt
    second = StageClock(first.path)
    with second.stage("rtl"):
        now[0] += 10
    with second.stage("fit"):
        now[0] += 1.5
    assert json.loads(first.path.read_text()) == {"rtl": 35, "fit": 1.5}
    assert second.total == 36.5


def test_a_damaged_file_of_seconds_is_one_line(tmp_path):
    path = tmp_path / "seconds.json"
    path.write_text('{"rtl": 3')
    with pytest.raises(UserError, match=r"seconds.json: damaged: .*: delete it"):
        StageClock(path)
