"""Words of memory in block RAMs: found by their columns of bits, wherever these lie."""

import json
import random

from rtl.build.content import placeholder
from sim.netlist.content import ROW_BITS, ROWS, replace_content
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


def test_columns_are_found_and_exchanged(tmp_path):
    old, numbers = placeholder(ROWS), random.Random(4)
    new = [numbers.getrandbits(128) for _ in old]

    def part(words, first):  # 18 bits of each word, the last block RAM has but two
        return [word >> first & (1 << ROW_BITS) - 1 for word in words]

    other = [numbers.getrandbits(ROW_BITS) for _ in old]
    cells = {f"ram_{i}": block_ram(part(old, ROW_BITS * i)) for i in range(8)}
    cells["other"] = block_ram(other)
    path = tmp_path / "routed.json"
    module = {"ports": {}, "cells": cells, "netnames": {}}
    path.write_text(json.dumps({"creator": "test", "modules": {"top": module}}))
    netlist = RoutedNetlist(path)
    assert replace_content(netlist, old, new) == 256
    for index in range(8):
        assert rows_of(netlist.cells[f"ram_{index}"]) == part(new, ROW_BITS * index)
    assert rows_of(netlist.cells["other"]) == other
    assert replace_content(netlist, old, new) == 0
