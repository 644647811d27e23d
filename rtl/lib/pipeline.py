"""Delay lines of the rigid pipelines."""

from collections.abc import Iterator
from typing import Any

from amaranth.hdl import Module, Signal


def history(m: Module, value: Any, cycles: int, *, name: str, marker: bool = False) -> list[Any]:
    """``value`` as it was 0, 1, … ``cycles`` cycles ago.

    Payloads have no reset, so that synthesis may put the line into shift-register LUTs; a
    ``marker`` (the valid bit that belongs to a payload) has one: a reset empties the pipeline.
    """
    stages = [value]
    for stage in range(cycles):
        register = Signal(value.shape(), name=f"{name}_{stage + 1}", reset_less=not marker)
        m.d.sync += register.eq(stages[-1])
        stages.append(register)
    return stages


def delayed(m: Module, value: Any, cycles: int, *, name: str, marker: bool = False) -> Any:
    """``value`` as it was ``cycles`` cycles ago; see :func:`history`."""
    return history(m, value, cycles, name=name, marker=marker)[-1]


def halves(values: list) -> Iterator[tuple]:
    """Neighbouring pairs of an adder tree's or a comparator tree's level."""
    return zip(values[::2], values[1::2], strict=True)
