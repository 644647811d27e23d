"""Seconds of a campaign's stages, over several runs of it."""

import json

import pytest

from nas.cost import clock
from nas.cost.clock import Clock
from rtl.errors import UserError


@pytest.fixture
def now(monkeypatch):
    """A time that tests set."""
    time = [100.0]
    monkeypatch.setattr(clock.time, "monotonic", lambda: time[0])
    return time


def test_an_interrupted_run_counts(now, tmp_path):
    first = Clock(tmp_path / "seconds.json")
    with pytest.raises(KeyboardInterrupt), first.stage("rtl") as note:
        now[0] += 20
        note()
        assert json.loads(first.path.read_text()) == {"rtl": 20}
        now[0] += 5
        raise KeyboardInterrupt
    second = Clock(first.path)
    with second.stage("rtl"):
        now[0] += 10
    with second.stage("fit"):
        now[0] += 1.5
    assert json.loads(first.path.read_text()) == {"rtl": 35, "fit": 1.5}
    assert second.total == 36.5


def test_a_damaged_file_is_one_line(tmp_path):
    path = tmp_path / "seconds.json"
    path.write_text('{"rtl": 3')
    with pytest.raises(UserError, match=r"seconds.json: damaged: .*: delete it"):
        Clock(path)
