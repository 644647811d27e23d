"""Words of memory in block RAMs: found by their columns of bits, wherever these lie."""

import json
import random

import pytest

from rtl.build.columns import ROW_BITS, ROWS
from rtl.build.content import placeholder
from rtl.soc.blocks import WORD_BITS
from sim.netlist.content import replace_content
from sim.netlist.routed import RoutedNetlist


def block_ram(rows):
    """A cell with these rows of 18 bits."""
    bits = "".join(f"{row:020b}" for row in reversed(rows))
    parts = [bits[at : at + 320] for at in range(0, len(bits), 320)][::-1]
    return {
        "type": "DP16KD",
        "parameters": {f"INITVAL_{i:02X}": part for i, part in enumerate(parts)},
    }


def rows_of(cell):
    bits = "".join(cell["parameters"][f"INITVAL_{i:02X}"] for i in reversed(range(64)))
    return [int(bits[len(bits) - 20 * (i + 1) : len(bits) - 20 * i], 2) for i in range(ROWS)]


@pytest.mark.parametrize(("width", "count"), [(18, 1), (9, 2), (4, 4), (2, 8)])
def test_columns_are_found_and_exchanged(tmp_path, width, count):
    """Block RAMs with ``width`` bits of each word, ``count`` words in a row of 18 bits."""
    words, numbers = ROWS * count, random.Random(4)
    old, new = placeholder(words), [numbers.getrandbits(WORD_BITS) for _ in range(words)]

    def part(content, first):
        """Rows of the block RAM with the bits from ``first`` on of each word."""
        kept = (1 << min(width, WORD_BITS - first)) - 1
        return [
            sum((content[count * row + i] >> first & kept) << at(i) for i in range(count))
            for row in range(ROWS)
        ]

    def at(index):
        """First bit of a word in its row: each half of a row leaves out its last bit."""
        return index * width if width >= 9 else index * width + (index * width >= 8)

    firsts = range(0, WORD_BITS, width)
    cells = {f"ram_{first}": block_ram(part(old, first)) for first in firsts}
    other = [numbers.getrandbits(ROW_BITS) for _ in range(ROWS)]
    cells["other"] = block_ram(other)
    path = tmp_path / "routed.json"
    module = {"ports": {}, "cells": cells, "netnames": {}}
    path.write_text(json.dumps({"creator": "test", "modules": {"top": module}}))
    netlist = RoutedNetlist(path)
    assert replace_content(netlist, old, new) == WORD_BITS * words // 512
    for first in firsts:
        assert rows_of(netlist.cells[f"ram_{first}"]) == part(new, first)
    assert rows_of(netlist.cells["other"]) == other
    assert replace_content(netlist, old, new) == 0
