"""Rows: quantized in a process of their own, whose time and memory are counted."""

import subprocess
import sys
from dataclasses import replace

import pytest

from nas.quantize.method import NAIVE
from nas.vit.rows import BASELINES, TABLE, Row, RowJob
from rtl.errors import UserError
from rtl.model import IntegerModel
from tests.nas.vit.conftest import W8A6


def job(example, row: Row, name: str = "w8a6.pulsar") -> RowJob:
    out = example.folder / name
    return RowJob(row, example.source, example.options, example.calibration, out, example.board)


def test_a_row_is_the_same_in_another_process(made, fresh):
    _, row = made
    cost = job(fresh, W8A6).here()
    assert (cost.model, cost.cycles) == (row.cost.model, row.cost.cycles)
    model = IntegerModel.load(fresh.folder / "w8a6.pulsar")
    host = model.output.host
    assert host and (fresh.folder / host.file).is_file(), "what follows the tokens lies beside it"


GROWS = """
from nas.vit.rows import peak_bytes
before = peak_bytes()
ballast = bytes(range(256)) * (400 << 12)
print(before, peak_bytes())
"""


def test_memory_is_that_of_the_process_itself():
    command = [sys.executable, "-c", GROWS]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    before, after = map(int, found.stdout.split())
    assert 0 < before < after - (200 << 20)


def test_errors_come_back_from_the_process(fresh):
    with pytest.raises(UserError, match="absent"):
        replace(job(fresh, W8A6), source="absent").run()


def test_the_table_is_that_of_the_issue():
    assert [row.name for row in TABLE] == ["w8a8", "w8a6", "half", "quarter", "w4a6"]
    assert [row.cycles for row in TABLE] == [None, None, 1_140_000, 984_000, None]
    assert {row.method for row in BASELINES} == {NAIVE}
    names = {row.name.removesuffix("_naive"): row.engine for row in BASELINES}
    assert names == {row.name: row.engine for row in TABLE if row.name in names}
