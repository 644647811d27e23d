"""A routed netlist: nextpnr's JSON, made explicit, to Verilog.

nextpnr leaves open what the device ties by itself, and says in parameters what else a port gets.
Here every input is connected, so that a cell's model needs to know nothing of that.

Source: nextpnr's ecp5/pack.cc and ecp5/bitstream.cc.
"""

import json
import re
from pathlib import Path

from rtl.build.verilog import yosys
from rtl.errors import UserError
from sim.netlist.cells import LUT_RAM, yosys_models

HIGH_IF_OPEN = {"TRELLIS_COMB", "DCCA", "DP16KD"}
"""Cells whose open inputs the fabric's pull-ups tie to 1; those of others do nothing at 0."""

BLOCKS = {"DP16KD", "MULT18X18D", "EHXPLLL"}
"""Cells that have a parameter PORTMUX for each port: a constant, INV, or the port's name."""

WIDTHS = {(a, b) for a in (1, 2, 4, 9, 18) for b in (1, 2, 4, 9, 18)} | {(36, 36)}
"""Widths of a block RAM's ports that there is a model of."""

CONTENT = re.compile(r"INITVAL_([0-9A-F]{2})")
TABLE_INPUTS = set("ABCD")
PINS = {"INPUT": ("B", "O"), "OUTPUT": ("I", "B")}
"""From where to where a pin's buffer goes, by its direction."""

BUFFER = {"A": "input", "Z": "output"}
TOP = "routed"


class RoutedNetlist:
    """A netlist after place and route; or before, as Yosys writes it.

    Parameters
    ----------
    path : Path
        ``routed.json``, as :func:`rtl.build.route.place_and_route` leaves it, or ``netlist.json``.

    Raises
    ------
    UserError
        If there is no such file, or it is no netlist of nextpnr's.
    """

    def __init__(self, path: Path):
        try:
            netlist = json.loads(path.read_text())
            module = max(netlist["modules"].values(), key=lambda each: len(each["cells"]))
        except (json.JSONDecodeError, KeyError, ValueError, TypeError):
            raise UserError(f"{path} is no netlist after place and route") from None
        self.creator = netlist["creator"]
        self.ports: dict[str, dict] = module["ports"]
        self.cells: dict[str, dict] = module["cells"]
        self._next = 1 + max(
            (bit for net in module["netnames"].values() for bit in net["bits"]
             if isinstance(bit, int)), default=1
        )  # fmt: skip

    def flip(self, name: str, bit: int) -> None:
        """Flip a bit of a look-up table's content.

        Raises
        ------
        UserError
            If there is no such look-up table, or it has no such bit.
        """
        cell = self.cells.get(name)
        if cell is None or cell["type"] != "TRELLIS_COMB":
            raise UserError(f"the netlist has no look-up table {name!r}")
        content = cell["parameters"]["INITVAL"]
        if not 0 <= bit < len(content):
            raise UserError(f"bit {bit} of {name!r}: it has bits 0 to {len(content) - 1}")
        at = len(content) - 1 - bit
        flipped = "01"[content[at] == "0"]
        cell["parameters"]["INITVAL"] = content[:at] + flipped + content[at + 1 :]

    def write_verilog(self, path: Path) -> None:
        """Write the netlist as Verilog, module ``routed``.

        Yosys puts its models in the place of look-up tables, carries and registers, as a simulator
        would, only faster. Other cells stay instances.

        Raises
        ------
        ToolError
            If Yosys fails.
        """
        cells = {}
        for name, cell in self.cells.items():
            if cell["parameters"].get("MODE") == "RAMW_BLOCK":
                continue  # keeps a place free, and is nothing
            for part, content in self._explicit(name, cell):
                cells[part] = content
        module = {"ports": self.ports, "cells": cells, "netnames": {}}
        explicit, models = path.with_suffix(".explicit.json"), path.with_suffix(".models.v")
        explicit.write_text(json.dumps({"creator": self.creator, "modules": {TOP: module}}))
        models.write_text(yosys_models())
        script = (
            f"read_verilog -DNO_INCLUDES {models.name}; read_json {explicit.name};"
            f" hierarchy -top {TOP}; proc; flatten; opt_expr; clean;"
            f" write_verilog -noattr {path.name}"
        )
        yosys(["-q", "-p", script], cwd=path.parent)

    def _explicit(self, name: str, cell: dict):
        """Yield a cell with all its inputs connected, and inverters in front of it."""
        kind = cell["type"]
        if kind == "TRELLIS_IO":
            yield name, self._pin(name, cell)
            return
        parameters = dict(cell["parameters"])  # a string of digits has a space behind it
        nets = {port: list(bits) for port, bits in cell["connections"].items()}
        directions = dict(cell["port_directions"])
        if kind == "TRELLIS_FF":
            self._register(parameters, nets, directions)
        if kind in BLOCKS:
            yield from self._inverters(name, parameters, nets, directions)
        if kind == "TRELLIS_COMB":
            kind = self._table(name, parameters, nets)
            nets = {port: bits for port, bits in nets.items() if bits or port in TABLE_INPUTS}
        for port, bits in nets.items():
            if not bits and directions[port] == "input":
                nets[port] = ["1" if kind in HIGH_IF_OPEN else "0"]
        if kind == "DP16KD":
            widths = tuple(int(parameters.get(f"DATA_WIDTH_{port}", "10010"), 2) for port in "AB")
            if widths not in WIDTHS:
                raise UserError(f"block RAM {name!r}: no model with ports of {widths} bits")
            parameters["CONTENT"] = "".join(
                parameters.pop(key)
                for key in sorted(filter(CONTENT.match, parameters), reverse=True)
            )
        nets = {port: bits for port, bits in nets.items() if bits}
        yield name, _cell(kind, directions, nets, parameters)

    def _pin(self, name: str, cell: dict) -> dict:
        """A pin is a buffer: in Verilog an input of the top is no wire to drive, even with Z."""
        nets, direction = cell["connections"], cell["parameters"]["DIR"]
        if direction not in PINS or any(nets[port] for port in ("T", "IOLDO", "IOLTO")):
            raise UserError(f"pin {name!r} goes both ways or has a register of its own: no model")
        source, target = PINS[direction]
        return _cell("ecp5_pin", BUFFER, {"A": nets[source], "Z": nets[target]})

    def _register(self, parameters: dict, nets: dict, directions: dict) -> None:
        """A register's data comes through DI, or, with SD 0, through M; an open reset is none."""
        if parameters.pop("SD", "1").strip() == "0":
            nets["DI"], directions["DI"] = nets.pop("M"), "input"
            directions.pop("M")
        if not nets.get("LSR") and parameters.get("LSRMUX") == "INV":
            parameters["LSRMUX"] = "LSR"

    def _table(self, name: str, parameters: dict, nets: dict) -> str:
        """Say which multiplexer a look-up table has; return its kind, which may be that of a RAM.

        What Yosys' model of a RAM gets wrong is refused.
        """
        if nets.get("FXA"):
            parameters["IS_Z1"] = "1"  # the multiplexer behind it takes FXA and FXB
        if parameters.get("MODE") != "DPRAM":
            return "TRELLIS_COMB"
        if "1" in parameters["INITVAL"] or parameters.get("WREMUX", "WRE") != "WRE":
            raise UserError(f"LUT RAM {name!r} has content or a constant write enable: no model")
        parameters.pop("WCKMUX", None)
        return LUT_RAM

    def _inverters(self, name: str, parameters: dict, nets: dict, directions: dict):
        """Turn the parameters PORTMUX into constants and inverters."""
        for key in [key for key in parameters if key.endswith("MUX")]:
            port, value = key.removesuffix("MUX"), parameters.pop(key).strip()
            if value in ("0", "1"):
                nets[port] = [value]
            elif value == "INV" and not nets[port]:
                nets[port] = ["0"]
            elif value == "INV":
                self._next += 1
                inverter = {"A": nets[port], "Z": [self._next]}
                yield f"{name}${port}", _cell("INV", BUFFER, inverter)
                nets[port] = [self._next]


def _cell(kind: str, directions: dict, nets: dict, parameters: dict | None = None) -> dict:
    return {
        "type": kind,
        "parameters": parameters or {},
        "attributes": {},
        "port_directions": directions,
        "connections": nets,
    }
