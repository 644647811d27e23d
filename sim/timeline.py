"""Timeline of a run's instructions for Perfetto, and totals by layer and by unit.

The engine's tap reports the cycle in which a unit takes an instruction and the cycle in which it
completes it. Chrome's trace-event format, which https://ui.perfetto.dev opens, shows that as a lane
per unit with a slice per instruction.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rtl.compiler import Program
from rtl.compiler.operations import Operation
from rtl.engine import EVENT
from rtl.files import atomic_write
from rtl.isa.instructions import Unit
from sim import taps


@dataclass(frozen=True)
class UnitEvents:
    """Instructions of one unit in the order in which it took them, over all images.

    Parameters
    ----------
    numbers : (instructions,) int64
        Index into the program's operations; rises within an image.
    taken, done : (instructions,) int64
        Clock cycles.
    """

    numbers: np.ndarray
    taken: np.ndarray
    done: np.ndarray

    @property
    def images(self) -> np.ndarray:
        """(instructions,) int64, the image that each belongs to."""
        return np.cumsum(np.diff(self.numbers, prepend=-1) <= 0)

    @property
    def begun(self) -> np.ndarray:
        """(instructions,) int64, the cycle when it was taken and the one before was done.

        Units take instructions ahead and work on the next one while the last results of one are on
        their way: between two completions, the unit's time belongs to the later one.
        """
        return np.maximum(self.taken, np.append(self.taken[:1], self.done[:-1]))


@dataclass(frozen=True)
class Timeline:
    """The instructions of every unit, with their times.

    Parameters
    ----------
    program : Program
    events : dict of Unit to UnitEvents
    """

    program: Program
    events: Mapping[Unit, UnitEvents]

    def cycles_by_kind(self) -> dict[str, Counter[str]]:
        """Return how many cycles each unit was at instructions of each kind of layer."""
        totals: dict[str, Counter[str]] = defaultdict(Counter)
        for unit, events in self.events.items():
            for number, begun, done in zip(events.numbers, events.begun, events.done, strict=True):
                kind = self.program.operations[number].subject.kind
                totals[unit.name.lower()][kind] += int(done - begun)
        return dict(totals)

    def slices(self) -> Iterator[dict[str, Any]]:
        """Yield trace events, a cycle as a microsecond."""
        for unit, events in self.events.items():
            columns = (events.numbers, events.images, events.taken, events.begun, events.done)
            for number, image, taken, begun, done in zip(*columns, strict=True):
                operation = self.program.operations[number]
                yield {
                    "ph": "X",
                    "pid": 0,
                    "tid": int(unit),
                    "ts": int(begun),
                    "dur": int(done - begun),
                    "name": label(operation),
                    "cat": operation.subject.kind,
                    "args": {
                        "image": int(image),
                        "instruction": int(number),
                        "taken": int(taken),
                        **about(operation),
                    },
                }

    def write(self, path: Path, *, clock_hz: int, title: str) -> None:
        """Write the trace to a file, one event per line; the file appears whole or not at all.

        Parameters
        ----------
        path : Path
        clock_hz : int
        title : str
            Name of the process in the viewer.
        """
        names: Sequence[dict[str, Any]] = [
            {"ph": "M", "pid": 0, "name": "process_name", "args": {"name": title}},
            *(
                {"ph": "M", "pid": 0, "tid": int(unit), "name": name, "args": {key: value}}
                for unit in self.events
                for name, key, value in (
                    ("thread_name", "name", unit.name.lower()),
                    ("thread_sort_index", "sort_index", int(unit)),
                )
            ),
        ]
        header = {"clock_hz": clock_hz, "unit": "1 us in this file is 1 clock cycle"}
        with atomic_write(path, "w") as file:
            file.write(f'{{"otherData": {json.dumps(header)},\n"traceEvents": [\n')
            for index, event in enumerate((*names, *self.slices())):
                file.write(("" if index == 0 else ",\n") + json.dumps(event, separators=(",", ":")))
            file.write("\n]}\n")


def read(program: Program, folder: Path) -> Timeline:
    """Read the timeline from tap files, ``taken_<unit>.bin`` and ``done_<unit>.bin``."""
    events = {}
    for unit in Unit:
        name = unit.name.lower()
        taken, numbers = _events(folder / f"taken_{name}.bin")
        done, _ = _events(folder / f"done_{name}.bin")
        events[unit] = UnitEvents(numbers[: len(done)], taken[: len(done)], done)
    return Timeline(program, events)


def _events(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return cycles and instruction numbers."""
    parts = [(beats.cycle, beats.fields["number"]) for beats in taps.Tap(file, EVENT).chunks()]
    none = np.zeros(0, np.int64)
    cycles, numbers = zip((none, none), *parts, strict=True)
    return np.concatenate(cycles).astype(np.int64), np.concatenate(numbers)


def label(operation: Operation) -> str:
    """Return a slice's name: the tensor, the head, the tile."""
    subject = operation.subject
    parts = [subject.tensor or subject.kind]
    if subject.head >= 0:
        parts.append(f"head {subject.head}")
    if subject.tile is not None:
        parts.append(f"tile {subject.tile.index}")
    return " ".join(parts)


def about(operation: Operation) -> dict[str, Any]:
    """Return a slice's arguments, which the viewer shows: place and operands."""
    subject = operation.subject
    known: dict[str, Any] = {"layer": subject.layer, "block": subject.block, "head": subject.head}
    known = {name: value for name, value in known.items() if value not in ("", -1)}
    if subject.tile is not None:
        known |= {"tile": subject.tile.index, "tokens": str(subject.tile.tokens)}
    return known | {"operands": operation.operands}
