"""One module of a netlist as a graph: nets are nodes, cells are edges of 0 or 1 level."""

import re
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np

from rtl.build.netlist.cells import Bit, Cell, all_nets, nets
from rtl.build.netlist.kinds import CARRIES, CONSTANTS, is_register, joined
from rtl.build.netlist.slices import Driver, Slices

BIT_OF_MANY = re.compile(r"(\[\d+\]|(\.\d+)+)$")  # row[3]; storage.0.3, a part of a memory


class End(NamedTuple):
    """A bit of an input of a register, DSP or memory. Without a cell: an output of the top."""

    net: int
    cell: Cell | None
    pin: str


class Edge(NamedTuple):
    """A way from net to net through a cell.

    ``levels`` as rtl.build.netlist.kinds defines them; ``apart`` counts a carry chain and the LUT
    in front of it as two.
    """

    source: int
    target: int
    levels: int
    apart: int


class ModuleGraph:
    """Nodes are the module's nets, by Yosys' number, and after them the bits of carry chains.

    Parameters
    ----------
    name : str
    json : dict
        The module in Yosys' ``write_json``.
    modules : collection of str
        Kinds of cells that are modules themselves.
    """

    def __init__(self, name: str, json: dict, modules: Collection[str]) -> None:
        self.name = name
        self.ports = {
            port: (content["direction"], content["bits"]) for port, content in json["ports"].items()
        }
        cells = [Cell.of(name, cell) for name, cell in json["cells"].items()]
        self.instances = [cell for cell in cells if cell.kind in modules]
        self.cells = [
            cell for cell in cells if cell.kind not in modules and cell.kind not in CONSTANTS
        ]
        self.drivers = {
            net: Driver(cell, pin)
            for cell in self.cells
            for pin, bits in cell.outputs.items()
            for net in nets(bits)
        }
        self.names = _names(json["netnames"])
        self.edges: list[Edge] = []
        self.starts: list[int] = []
        self.ends: list[End] = []
        self.size = 1 + max(_numbers(json), default=0)
        self._slices = Slices(self.cells, self.drivers)
        for cell in self.cells:
            self._add(cell)

    # --- cells ------------------------------------------------------------------------------------

    def _add(self, cell: Cell) -> None:
        if cell.kind in CARRIES:
            self._add_carry(cell)
            return
        for input_pin, output_pin in joined(cell.kind, cell.inputs, cell.outputs):
            for source in cell.inputs[input_pin]:
                levels = self._slices.levels(cell.kind, input_pin, source)
                for target in cell.outputs[output_pin]:
                    self._join(source, target, levels)
        if is_register(cell.kind):
            self.starts += all_nets(cell.outputs)
            self.ends += (
                End(net, cell, pin) for pin, bits in cell.inputs.items() for net in nets(bits)
            )

    def _join(self, source: Bit, target: Bit, levels: int, apart: int | None = None) -> None:
        if isinstance(source, int) and isinstance(target, int):
            self.edges.append(Edge(source, target, levels, levels if apart is None else apart))

    def _add_carry(self, cell: Cell) -> None:
        """Bit by bit: ``O`` depends on ``S`` and the carry from below, ``CO`` on ``DI`` as well."""
        below = self._new_node()
        for pin in ("CI", "CYINIT"):
            for bit in cell.inputs.get(pin, ()):
                self._join(bit, below, self._slices.levels(cell.kind, pin, bit))
        bits = len(cell.inputs["S"])
        for n in range(bits):
            if "DUAL" in cell.parameters.get("CARRY_TYPE", "") and n == bits // 2:
                below = self._new_node()
                self._join(cell.inputs["CI_TOP"][0], below, 1)
            carry = self._new_node()
            s, di = cell.inputs["S"][n], cell.inputs["DI"][n]
            s_levels, di_levels = self._slices.into_carry(cell, n)
            self._join(below, carry, 0)
            self._join(s, carry, s_levels, 1)
            self._join(di, carry, di_levels, 1)
            for output in cell.outputs.get("O", ())[n : n + 1]:
                self._join(below, output, 0)
                self._join(s, output, s_levels, 1)
            for output in cell.outputs.get("CO", ())[n : n + 1]:
                self._join(carry, output, 0)
            below = carry

    def _new_node(self) -> int:
        self.size += 1
        return self.size - 1

    # --- the border -------------------------------------------------------------------------------

    def port_nets(self, direction: str) -> np.ndarray:
        """Nets of all inputs or of all outputs."""
        return array(
            net for of, bits in self.ports.values() if of == direction for net in nets(bits)
        )

    def end_at_outputs(self) -> None:
        """Let paths end at the module's outputs: it is the top."""
        for name, (direction, bits) in self.ports.items():
            if direction == "output":
                self.ends += (End(net, None, name) for net in nets(bits))

    # --- as arrays, for the whole design ----------------------------------------------------------

    @cached_property
    def edge_array(self) -> np.ndarray:
        """(4, edges): the fields of :class:`Edge`."""
        return np.array(self.edges, int).reshape(-1, len(Edge._fields)).T

    @cached_property
    def start_nets(self) -> np.ndarray:
        return array(self.starts)

    @cached_property
    def end_nets(self) -> np.ndarray:
        return array(end.net for end in self.ends)

    # --- for reports ------------------------------------------------------------------------------

    def signal(self, net: int) -> str:
        """Return the name of a net, or else of the cell that it comes from."""
        driver = self.drivers.get(net)
        return self.names.get(net) or (driver.cell.name if driver else "")

    @cached_property
    def end_groups(self) -> tuple[list[str], np.ndarray]:
        """Return names of ends, one for all bits of a register; and each end's index in them."""
        labels: dict[str, int] = {}
        groups = [labels.setdefault(self._label(end), len(labels)) for end in self.ends]
        return list(labels), np.array(groups, int)

    def _label(self, end: End) -> str:
        """Return the name of an end: a flip-flop's output, any other cell's own."""
        if end.cell is None:
            return end.pin
        outputs = all_nets(end.cell.outputs)
        name = self.names.get(outputs[0]) if len(outputs) == 1 else None
        return f"{BIT_OF_MANY.sub('', name or end.cell.name)}.{end.pin}"


def _names(netnames: dict) -> dict[int, str]:
    """Return the names that nets have in the source, with the bit; others have none."""
    names: dict[int, str] = {}
    for name, content in netnames.items():
        if content["hide_name"]:
            continue
        for index, bit in enumerate(content["bits"]):
            label = f"{name}[{index}]" if len(content["bits"]) > 1 else name
            if bit not in names or len(label) < len(names[bit]):
                names[bit] = label
    return names


def _numbers(json: dict) -> Iterator[int]:
    """Count how often each net occurs."""
    for port in json["ports"].values():
        yield from nets(port["bits"])
    for cell in json["cells"].values():
        for bits in cell["connections"].values():
            yield from nets(bits)


def array(numbers: Iterable[int]) -> np.ndarray:
    return np.fromiter(numbers, int)
