"""The static report: figures of the program and its prediction, in JSON and as tables."""

import io
import json

from rich.console import Console

from rtl.compiler import lower, plan
from rtl.config import TINY
from rtl.model.shape import plain_vit
from rtl.timing.breakdown import breakdown_of
from rtl.timing.report import report, tables
from rtl.timing.simulate import SIMULATED_MEMORY, simulate

DIGITS = plain_vit(
    image=(28, 28, 1), patch=7, width=64, heads=4, head_dim=16, depth=2, classes=10,
    row_granularity=16,
)  # fmt: skip
PROGRAM = lower(plan(DIGITS, TINY))
PREDICTION = simulate(PROGRAM)
FIGURES = report(
    PROGRAM, PREDICTION, breakdown_of(PROGRAM, PREDICTION, SIMULATED_MEMORY), 100_000_000
)


def test_figures_are_those_of_the_program_and_its_prediction():
    assert FIGURES["cycles"] == PREDICTION.cycles
    assert FIGURES["fps"] == 100_000_000 / PREDICTION.cycles
    assert sum(FIGURES["instructions"].values()) == len(PROGRAM.operations)
    assert FIGURES["bytes"]["program"] == 32 * len(PROGRAM.operations)
    assert FIGURES["bytes"]["moved"] == PREDICTION.bytes
    busy, idle = FIGURES["matmul_cycles"].values(), FIGURES["waiting_cycles"].values()
    assert abs(sum(busy) + sum(idle) - PREDICTION.cycles) < len(busy) + len(idle)  # rounded
    assert json.loads(json.dumps(FIGURES)) == FIGURES


def test_no_buffer_holds_more_than_there_is_room_for():
    buffers = FIGURES["buffers"]
    assert buffers["gelu"] == {"used": 2, "available": 2, "unit": "tables"}  # one for each block
    assert buffers["keys"]["available"] == TINY.key_words
    assert all(0 < each["used"] <= each["available"] for each in buffers.values())


def test_tables_name_every_kind_of_layer_and_every_buffer():
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(tables(FIGURES))
    text = console.export_text()
    assert f"{PREDICTION.cycles:,}" in text
    for name in (*FIGURES["matmul_cycles"], *FIGURES["buffers"], *FIGURES["busy_cycles"]):
        assert name in text
