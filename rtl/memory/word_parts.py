"""Words of ``row_lanes`` values that a unit with fewer lanes works on part by part.

A position counts parts through all words that belong together, as an address of granules does.
"""

from typing import Any

from amaranth.hdl import Cat, Value
from amaranth.utils import exact_log2

from rtl.config import EngineConfig
from rtl.lib.pipeline import choose


def split_position(position: Value, parts: int) -> tuple[Value, Value]:
    """Word, and part of this word."""
    bits = exact_log2(parts)
    return position[bits:], position[:bits]


def part_of(word: Any, parts: int, part: Value) -> Value:
    """One of ``parts`` equal parts of a word, part 0 the lowest."""
    value = Value.cast(word)
    bits = len(value) // parts
    return choose([value[i * bits : (i + 1) * bits] for i in range(parts)], part)


def part_mask(config: EngineConfig, parts: int, part: Value) -> Value:
    """The granules of a word of ``row_lanes`` codes that lie in one of its ``parts``."""
    return Cat(part == i * parts // config.granules for i in range(config.granules))


def in_every_part(codes: Any, parts: int) -> Value:
    """A word with ``codes`` in each of its ``parts``; a mask tells which of them is written."""
    return Value.cast(codes).replicate(parts)
