"""Cells as timing sees them: the pins they join within a cycle, and which share a slice.

A *level* is a LUT, an asynchronous read of a LUT memory, or a carry chain however long. What a
slice does without leaving it is no level of its own:

- a wide multiplexer (MUXF7 to MUXF9, PFUMX, L6MUX21) belongs to the LUTs in front of it;
- the LUT in front of a carry chain belongs to the chain: S has no other driver in silicon than the
  O6 of the LUT beside it, so an addition is one level. What drives DI belongs to the chain if that
  LUT's O5 holds it too (five inputs together); if not it is a LUT elsewhere, and a level.

A LUT has one place: one that feeds several such pins is a level of its own before each of them.
Whatever else enters a multiplexer or a chain, passes one level there.

What is not in these tables (flip-flops, DSPs, block memories) begins and ends paths: its inputs are
ends and its outputs starts, whether it has registers inside or not. Source: AMD UG574, Lattice
FPGA-TN-02205.
"""

import re
from collections.abc import Iterable, Iterator

COMBINATIONAL: dict[str, tuple[tuple[str, str], ...]] = {
    **{f"LUT{n}": (("I.", "O"), ("[A-D]", "Z")) for n in range(1, 7)},  # AMD's and Lattice's
    "LUT6_2": (("I[0-4]", "O5"), ("I[0-5]", "O6")),
    "INV": (("I", "O"),),
    **dict.fromkeys(("MUXF7", "MUXF8", "MUXF9"), (("I.|S", "O"),)),
    "PFUMX": (("ALUT|BLUT|C0", "Z"),),
    "L6MUX21": (("D.|SD", "Z"),),
    # Two LUTs and two bits of a carry chain in one cell.
    "CCU2C": (("[A-D]0|CIN", "S0"), ("[A-D][01]|CIN", "S1"), ("[A-D][01]|CIN", "COUT")),
}
"""Input pins and the output pins that they reach, as patterns of their names."""

ASYNCHRONOUS: dict[str, tuple[tuple[str, str], ...]] = {
    **dict.fromkeys(("SRL16E", "SRLC16E", "SRLC32E"), (("A.?", "Q"),)),
    **{f"RAM{words}X1S": (("A.?", "O"),) for words in (32, 64, 128, 256, 512)},
    **{f"RAM{words}X1D": (("A.?", "SPO"), ("DPRA.?", "DPO")) for words in (32, 64, 128, 256)},
    **{
        kind: tuple((f"ADDR{port}", f"DO{port}") for port in "ABCDEFGH")
        for kind in ("RAM32M", "RAM64M", "RAM32M16", "RAM64M8")
    },
    "TRELLIS_DPR16X4": (("RAD", "DO"),),
}
"""LUT memories likewise; written at the clock and read at once, they are registers as well."""

CHAINS = {"CARRY4": ("CO", "CI"), "CARRY8": ("CO", "CI"), "CCU2C": ("COUT", "CIN")}
"""Pins from one cell of a carry chain to the next. A CCU2C has its LUTs inside."""

MULTIPLEXERS = {
    **dict.fromkeys(("MUXF7", "MUXF8", "MUXF9"), ("I0", "I1")),
    "PFUMX": ("ALUT", "BLUT"),
    "L6MUX21": ("D0", "D1"),
}
"""Pins with a LUT or another multiplexer of the same slice in front of them."""

LUTS = frozenset(kind for kind in COMBINATIONAL if kind.startswith("LUT")) | {"INV"}
CARRIES = ("CARRY4", "CARRY8")
CONSTANTS = ("GND", "VCC")
SHARED_INPUTS = 5
"""Pins of two functions in one LUT, O5 and O6."""


def is_register(kind: str) -> bool:
    """Tell whether paths end at the cell's inputs and begin at its outputs."""
    return kind not in COMBINATIONAL and kind not in CARRIES and kind not in CONSTANTS


def joined(kind: str, inputs: Iterable[str], outputs: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Pairs of an input and an output pin that a cell joins, other than ``CARRIES``.

    By the pins alone, whatever the function in a LUT is, as timing analysis has it.
    """
    for of_input, of_output in COMBINATIONAL.get(kind) or ASYNCHRONOUS.get(kind, ()):
        for output in outputs:
            if re.fullmatch(of_output, output):
                yield from ((pin, output) for pin in inputs if re.fullmatch(of_input, pin))
