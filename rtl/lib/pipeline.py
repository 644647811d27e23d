"""Parts of rigid pipelines: delay lines, levels of a tree, choice by index."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value

COPY = {"keep": 1}
"""Attribute of a register that is equal to others on purpose: synthesis is to keep each of them."""


def history(
    m: Module, value: Any, cycles: int, *, name: str, marker: bool = False, copy: bool = False
) -> list[Any]:
    """``value`` as it was 0, 1, … ``cycles`` cycles ago.

    Payloads have no reset, so that synthesis may put the line into shift-register LUTs; a
    ``marker`` (the valid bit that belongs to a payload) has one: a reset empties the pipeline. The
    registers of a ``copy`` stay, even if others are equal to them.
    """
    attributes = COPY if copy else None
    stages = [value]
    for stage in range(cycles):
        register = Signal(
            value.shape(), name=f"{name}_{stage + 1}", reset_less=not marker, attrs=attributes
        )
        m.d.sync += register.eq(stages[-1])
        stages.append(register)
    return stages


def delayed(
    m: Module, value: Any, cycles: int, *, name: str, marker: bool = False, copy: bool = False
) -> Any:
    """``value`` as it was ``cycles`` cycles ago; see :func:`history`."""
    return history(m, value, cycles, name=name, marker=marker, copy=copy)[-1]


def halves(values: list) -> Iterator[tuple]:
    """Neighbouring pairs of an adder tree's or a comparator tree's level."""
    return zip(values[::2], values[1::2], strict=True)


def choose(values: Sequence[Value], index: Value) -> Value:
    """``values[index]``, a tree of two-way selections; zero beyond the last value.

    Where values have many bits it is much smaller than ``Cat(*values).word_select(index, width)``,
    which is a shift of all their bits: one gate per bit and value when it is elaborated, simulated
    and synthesised, where the shift has every bit depend on every other.

    Parameters
    ----------
    values : sequence of Value
        Unsigned values of one width.
    index : Value
        Unsigned.
    """
    if not len(index):
        return values[0]
    zero = Const(0, len(values[0]))
    pairs = zip_longest(values[0::2], values[1::2], fillvalue=zero)
    chosen = [Mux(index[0], odd, even) for even, odd in pairs]
    return choose(chosen, Value.cast(index[1:]))
