"""Fan-out: how many pins of cells each net drives, in all modules that it passes."""

import re
from dataclasses import dataclass

import numpy as np

from rtl.build.netlist.cells import Cell, nets
from rtl.build.netlist.flat import Graph
from rtl.build.netlist.kinds import is_register
from rtl.build.netlist.module import ModuleGraph

LATCHING = re.compile(r"(FD|LD)[RSCP]E")
ROLES = ("data", "enable", "reset")


@dataclass(frozen=True)
class FanOut:
    """A net that many pins hang on; clocks are left out, which have a network of their own.

    Parameters
    ----------
    net : str
        Name with the path of its module.
    driver : str
        Kind of the cell that drives it, or ``port``.
    loads : int
        Pins that it drives.
    enables, resets : int
        Those of them that are enables, or resets, of registers and memories.
    """

    net: str
    driver: str
    loads: int
    enables: int
    resets: int


def fan_outs(graph: Graph) -> list[FanOut]:
    """Return the nets that drive more than one pin, those with the most loads first."""
    loads = {name: _loads(module) for name, module in graph.modules.items()}
    pins = np.concatenate([loads[place.module.name] for place in graph.places], axis=1)
    roots = _roots(graph)
    by_role = np.array([np.bincount(roots, weights=row, minlength=graph.size) for row in pins])
    total = by_role.sum(axis=0)
    order = np.lexsort((np.arange(graph.size), -total))
    return [
        FanOut(
            net=graph.name(int(node)),
            driver=_driver(graph, int(node)),
            loads=int(total[node]),
            enables=int(by_role[ROLES.index("enable"), node]),
            resets=int(by_role[ROLES.index("reset"), node]),
        )
        for node in order[: int((total > 1).sum())]
    ]


def _roots(graph: Graph) -> np.ndarray:
    """Node that drives each node, across ports: links make trees, which are followed upwards."""
    roots = np.arange(graph.size)
    roots[graph.targets[graph.is_link]] = graph.sources[graph.is_link]
    while (above := roots[roots] != roots).any():
        roots[above] = roots[roots[above]]
    return roots


def _loads(module: ModuleGraph) -> np.ndarray:
    """(roles, nets): pins of the module's own cells."""
    loads = np.zeros((len(ROLES), module.size), int)
    for cell in module.cells:
        for pin, bits in cell.inputs.items():
            role = _role(cell, pin)
            if role:
                np.add.at(loads[ROLES.index(role)], nets(bits), 1)
    return loads


def _role(cell: Cell, pin: str) -> str | None:
    """Role of an input pin; none of a clock's."""
    if not is_register(cell.kind):
        return "data"
    if "CLK" in pin or pin == "WCK" or (pin in "CG" and LATCHING.fullmatch(cell.kind)):
        return None
    if re.match("CE|EN|OCE", pin):
        return "enable"
    return "reset" if re.fullmatch("R|S|CLR|PRE|LSR|RST.*", pin) else "data"


def _driver(graph: Graph, node: int) -> str:
    place = graph.place_of(node)
    driver = place.module.drivers.get(node - place.first)
    return driver.cell.kind if driver else "port"
