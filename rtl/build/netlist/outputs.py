"""DSPs and block memories whose outputs have no register inside the block."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rtl.build.netlist.cells import Cell, nets
from rtl.build.netlist.flat import Graph, Place
from rtl.build.netlist.module import array


class OutputRegister(NamedTuple):
    """An optional register at outputs of a block.

    ``pins`` is a pattern; ``default`` is the attribute's value where it is not set.
    """

    pins: str
    attribute: str
    default: str


DSPS = {
    "DSP48E2": (OutputRegister(".*", "PREG", "1"),),
    "MULT18X18D": (OutputRegister(".*", "REG_OUTPUT_CLK", "NONE"),),
}
MEMORIES = {
    **dict.fromkeys(
        ("RAMB18E2", "RAMB36E2"),
        (OutputRegister("DOUTP?A.*", "DOA_REG", "1"), OutputRegister("DOUTP?B.*", "DOB_REG", "1")),
    ),
    "DP16KD": (
        OutputRegister("DOA.*", "REGMODE_A", "NOREG"),
        OutputRegister("DOB.*", "REGMODE_B", "NOREG"),
    ),
    "PDPW16KD": (OutputRegister("DO.*", "REGMODE", "NOREG"),),
    "URAM288_BASE": (
        OutputRegister("DOUT_A.*", "OREG_A", "FALSE"),
        OutputRegister("DOUT_B.*", "OREG_B", "FALSE"),
    ),
}
BEHIND_MULTIPLIER = {"DSP48E2": OutputRegister("", "MREG", "1")}
OFF = re.compile(r"0+|NONE|NOREG|FALSE")

FLIP_FLOPS = {
    "FDRE": ("D", ("C", "CE", "R")),
    "FDSE": ("D", ("C", "CE", "S")),
    "TRELLIS_FF": ("DI", ("CLK", "CE", "LSR")),
}
"""Those that a block can take in: the data pin, and what all bits must share."""


@dataclass(frozen=True)
class Unregistered:
    """Blocks with an output in use that leaves them without a register.

    Yosys leaves the register of an inferred block outside of it, in flip-flops. Vendors' tools take
    it in where each bit goes to one flip-flop and nowhere else, all with the same clock, enable and
    reset: those blocks are *absorbable*. Of the others the output, slow as it is, begins a path.

    Parameters
    ----------
    dsp, bram : int
        Such blocks, as synthesised. Block memories of 18 and of 36 kbit, and UltraRAMs, count as
        one each.
    dsp_absorbable, bram_absorbable : int
        Those of them that are absorbable.
    dsp_without_mreg : int
        DSP48E2 that multiply without the register behind the multiplier.
    modules : dict of str to dict
        The same numbers by module, for all instances; modules without such blocks are left out.
    """

    dsp: int
    dsp_absorbable: int
    dsp_without_mreg: int
    bram: int
    bram_absorbable: int
    modules: dict[str, dict[str, int]]


def unregistered(graph: Graph) -> Unregistered:
    """Look at every DSP and block memory of a netlist."""
    modules: dict[str, Counter[str]] = {}
    for place in graph.places:
        for what in _of_place(graph, place):
            modules.setdefault(place.module.name, Counter())[what] += 1
    totals = sum(modules.values(), Counter())
    names = ("dsp", "dsp_absorbable", "dsp_without_mreg", "bram", "bram_absorbable")
    return Unregistered(
        **{name: totals[name] for name in names},
        modules={module: dict(counts) for module, counts in modules.items()},
    )


def _of_place(graph: Graph, place: Place) -> Iterator[str]:
    for cell in place.module.cells:
        for name, registers in (("dsp", DSPS), ("bram", MEMORIES)):
            bare = [
                used
                for register in registers.get(cell.kind, ())
                if _is_off(cell, register) and (used := _used(graph, place, cell, register)).size
            ]
            if bare:
                yield name
                if all(_is_absorbable(graph, used) for used in bare):
                    yield f"{name}_absorbable"
        behind = BEHIND_MULTIPLIER.get(cell.kind)
        if behind and _is_off(cell, behind) and cell.parameters.get("USE_MULT") != "NONE":
            yield "dsp_without_mreg"


def _is_off(cell: Cell, register: OutputRegister) -> bool:
    return bool(OFF.fullmatch(cell.parameters.get(register.attribute, register.default)))


def _used(graph: Graph, place: Place, cell: Cell, register: OutputRegister) -> np.ndarray:
    """Nets of the register's outputs, those that anything reads."""
    outputs = (bits for pin, bits in cell.outputs.items() if re.fullmatch(register.pins, pin))
    nodes = place.first + array(net for bits in outputs for net in nets(bits))
    feeds_logic, (_, of) = _consumers(graph, nodes)
    return nodes[feeds_logic | (np.bincount(of, minlength=len(nodes)) > 0)]


def _is_absorbable(graph: Graph, nodes: np.ndarray) -> bool:
    """Tell whether each net goes to one flip-flop alone, and all of these are controlled alike."""
    feeds_logic, (ends, of) = _consumers(graph, nodes)
    if feeds_logic.any() or len(of) != len(nodes) or len(set(of.tolist())) != len(nodes):
        return False
    controls = set()
    for end in ends:
        place = graph.places[graph.end_places[end]]
        _, cell, pin = graph.end(end)
        data, shared = FLIP_FLOPS.get(cell.kind if cell else "", ("", ()))
        if cell is None or pin != data:
            return False
        controls.add((place.first, cell.kind, *(str(cell.inputs.get(name)) for name in shared)))
    return len(controls) == 1


def _consumers(graph: Graph, nodes: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Tell whether logic reads each net, also across ports; and return the ends that do."""
    feeds_logic, origin = np.zeros(len(nodes), bool), np.arange(len(nodes))
    found, origins = [array(())], [array(())]
    while nodes.size:
        ends, at = graph.ends_at(nodes)
        found.append(ends)
        origins.append(origin[at])
        edges, at = graph.edges_at(nodes)
        is_link = graph.is_link[edges]
        feeds_logic[origin[at[~is_link]]] = True
        nodes, origin = graph.targets[edges[is_link]], origin[at[is_link]]
    return feeds_logic, (np.concatenate(found), np.concatenate(origins))
