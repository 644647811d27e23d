"""The example: whatever is finished is kept, and what has changed is done again."""

from dataclasses import replace

import pytest

from nas.vit import example as module
from nas.vit.maps import Closeness
from nas.vit.rows import RowJob
from tests.nas.vit.conftest import W8A6, pictures


@pytest.fixture
def quantized(monkeypatch) -> list[str]:
    """Names of rows that were really quantized."""
    names, real = [], RowJob.here

    def run(self):
        names.append(self.row.name)
        return real(self)

    monkeypatch.setattr(RowJob, "run", run)
    return names


def test_a_row_is_made_once(fresh, quantized):
    first = fresh.make(W8A6)
    again = replace(fresh).make(W8A6)
    assert quantized == ["w8a6"]
    assert (again.model.hash, again.cost) == (first.model.hash, first.cost)


def test_what_changes_a_row_makes_it_again(fresh, quantized, monkeypatch, tmp_path):
    first = fresh.make(W8A6)
    others = replace(fresh, calibration=pictures(tmp_path / "others", 8, 5))
    assert others.make(W8A6).model.hash != first.model.hash
    assert replace(fresh).make(W8A6).model.hash == first.model.hash, "the file is another row's"
    (tmp_path / "w8a6.pulsar").unlink()
    replace(fresh).make(W8A6)
    monkeypatch.setattr(module, "code_hash", lambda: "other code")
    replace(fresh).make(W8A6)
    assert quantized == ["w8a6"] * 5


def test_results_are_kept_by_what_decides_them(fresh):
    calls = []

    def compute() -> int:
        calls.append(1)
        return len(calls)

    assert [fresh.once("a", 1, compute), fresh.once("a", 1, compute)] == [1, 1]
    assert replace(fresh).once("a", 1, compute) == 1, "a later run reads it from the disk"
    assert fresh.once("a", 2, compute) == 2 and fresh.once("b", 1, compute) == 3
    assert replace(fresh, options=fresh.options | {"image_size": 12}).once("a", 1, compute) == 4


def test_closeness_is_measured_on_the_test_pictures(made):
    example, row = made
    close = example.closeness(row)
    assert isinstance(close, Closeness) and 0.99 < close.cos < 1
    assert replace(example).closeness(row) == close
    assert replace(example, test=example.test[:1]).closeness(row) != close


def test_a_picture_is_simulated_once(made, fresh, monkeypatch):
    calls, real = [], module.run_image

    def run(*args):
        calls.append(1)
        return real(*args)

    monkeypatch.setattr(module, "run_image", run)
    _, row = made
    result, words = fresh.simulate(row, fresh.test[0])
    again, same = replace(fresh).simulate(row, fresh.test[0])
    assert len(calls) == 1 and again == result and (same == words).all()
    (fresh.folder / "w8a6-0.tokens.npy").unlink()
    fresh.simulate(row, fresh.test[0])
    monkeypatch.setattr(module, "engine_code_hash", lambda: "other engine")
    fresh.simulate(row, fresh.test[0])
    assert len(calls) == 3
