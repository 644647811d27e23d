"""Which cycles belong to which instruction, by unit and by layer; and the trace's file."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rtl.compiler.operations import Subject
from rtl.isa.instructions import Unit
from sim.timeline import Timeline, UnitEvents, about, label


def operation(kind, tensor="", **where) -> Any:
    return SimpleNamespace(subject=Subject(kind, tensor, "", **where), operands={"shift": 3})


PROGRAM = SimpleNamespace(
    operations=[
        operation("begin"),
        operation("embed", "embed"),
        operation("fc1", "blocks.0.hidden"),
    ]
)
EVENTS = UnitEvents(
    numbers=np.array([1, 2, 1, 2]),
    taken=np.array([10, 12, 45, 50]),
    done=np.array([20, 40, 60, 61]),
)


@pytest.fixture
def timeline():
    return Timeline(PROGRAM, {Unit.MATMUL: EVENTS})  # pyright: ignore[reportArgumentType]


def test_numbers_fall_back_where_an_image_begins():
    assert EVENTS.images.tolist() == [0, 0, 1, 1]


def test_time_between_two_completions_belongs_to_the_later_instruction():
    """The second is taken while the first is at work, the third after a pause."""
    assert EVENTS.begun.tolist() == [10, 20, 45, 60]


def test_cycles_by_kind_of_layer(timeline):
    assert timeline.cycles_by_kind() == {"matmul": {"embed": 10 + 15, "fc1": 20 + 1}}


def test_slices_have_place_length_and_instruction(timeline):
    first, *_, last = timeline.slices()
    assert (first["ts"], first["dur"], first["tid"], first["cat"]) == (10, 10, Unit.MATMUL, "embed")
    assert (last["name"], last["args"]["image"], last["args"]["instruction"]) == (
        "blocks.0.hidden", 1, 2,
    )  # fmt: skip
    assert last["args"]["taken"] == 50


def test_the_file_is_json_with_names_of_lanes(timeline, tmp_path: Path):
    timeline.write(tmp_path / "trace.json", clock_hz=100, title="digits")
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert trace["otherData"]["clock_hz"] == 100
    names = [event["args"] for event in trace["traceEvents"] if event["ph"] == "M"]
    assert {"name": "digits"} in names and {"name": "matmul"} in names
    assert sum(event["ph"] == "X" for event in trace["traceEvents"]) == 4


def test_labels_name_what_there_is():
    tile = SimpleNamespace(index=3, tokens=range(12, 16))
    softmax = operation("softmax", "blocks.0.attention", block=0, head=2, tile=tile)
    assert label(softmax) == "blocks.0.attention head 2 tile 3"
    assert about(softmax) == {
        "block": 0, "head": 2, "tile": 3, "tokens": "range(12, 16)", "operands": {"shift": 3},
    }  # fmt: skip
    assert label(operation("pool")) == "pool"
