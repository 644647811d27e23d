"""A whole netlist as one graph of nets, every instance of every module in it."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import NamedTuple

import numpy as np

from rtl.build.netlist.cells import Bit, Cell, nets
from rtl.build.netlist.module import End, ModuleGraph
from rtl.errors import ToolError

UNREACHED = -1  # the level of a net that only constants reach
LOOP_SHOWN = 8  # nets of a loop that the message names


class Place(NamedTuple):
    """One instance of a module: its nets are numbered from ``first``."""

    first: int
    path: tuple[str, ...]
    module: ModuleGraph


class Graph:
    """Nets of a design as nodes, what joins them within a cycle as edges.

    A module is read once and copied for each instance; ports are edges without a level. So paths
    are followed across modules, but where Yosys kept the hierarchy it neither merged logic across
    modules nor removed what a constant at a port makes idle, as vendors' tools do.

    Parameters
    ----------
    netlist : dict
        Yosys' ``write_json``, without the modules that stand for the device's cells.
    top : str

    Raises
    ------
    ToolError
        If there is a combinational loop; names its nets.
    """

    def __init__(self, netlist: dict, top: str) -> None:
        found = netlist["modules"]
        self.modules = {name: ModuleGraph(name, json, found) for name, json in found.items()}
        self.modules[top].end_at_outputs()
        self.places: list[Place] = []
        self.size = 0
        self._links: list[np.ndarray] = []
        self._place(self.modules[top], ())
        self._join()
        self.starts = _joined(place.first + place.module.start_nets for place in self.places)
        self.inputs = self.modules[top].port_nets("input")
        self.ends = _joined(place.first + place.module.end_nets for place in self.places)
        counts = [len(place.module.ends) for place in self.places]
        self.end_places = np.repeat(np.arange(len(self.places)), counts)
        self._first_end = np.cumsum([0, *counts])
        self._waves = self._sorted()

    # --- nodes ------------------------------------------------------------------------------------

    def _place(self, module: ModuleGraph, path: tuple[str, ...]) -> int:
        """Number the nets of an instance and of all inside it, one after another."""
        first = self.size
        self.places.append(Place(first, path, module))
        self.size += module.size
        for cell in module.instances:
            inside = self.modules[cell.kind]
            below = self._place(inside, (*path, cell.name))
            own = np.array([[first], [below]])
            inwards, outwards = _links(cell, inside)
            self._links += [inwards + own, outwards + own[::-1]]
        return first

    @cached_property
    def _firsts(self) -> list[int]:
        return [place.first for place in self.places]

    def place_of(self, node: int) -> Place:
        return self.places[bisect_right(self._firsts, node) - 1]

    def name(self, node: int) -> str:
        """Return a net's name with its module's path: ``matmul.drain.row[3]``; a carry has none."""
        place = self.place_of(node)
        return ".".join((*place.path, place.module.signal(node - place.first)))

    def end(self, index: int) -> End:
        """Return the cell and the port of ``ends[index]``."""
        place = self.end_places[index]
        return self.places[place].module.ends[index - self._first_end[place]]

    @cached_property
    def _ends_by_node(self) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(self.ends, kind="stable")
        return order, self.ends[order]

    def ends_at(self, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the ends at ``nodes``, and for each which of ``nodes`` it is at."""
        order, ends = self._ends_by_node
        first, last = np.searchsorted(ends, nodes), np.searchsorted(ends, nodes, "right")
        return order[_ranges(first, last)], np.repeat(np.arange(len(nodes)), last - first)

    # --- edges ------------------------------------------------------------------------------------

    def _join(self) -> None:
        own = [
            place.module.edge_array + np.array([[place.first], [place.first], [0], [0]])
            for place in self.places
        ]
        links = np.concatenate([np.zeros((2, 0), int), *self._links], axis=1)
        cells = np.concatenate(own, axis=1)
        table = np.concatenate([cells, np.pad(links, ((0, 2), (0, 0)))], axis=1)
        order = np.argsort(table[0], kind="stable")
        self.sources, self.targets, self.levels, self.apart = table[:, order]
        self.is_link = order >= cells.shape[1]
        self._first_edge = np.searchsorted(self.sources, np.arange(self.size + 1))
        self._links.clear()

    def edges_from(self, nodes: np.ndarray) -> np.ndarray:
        return _ranges(self._first_edge[nodes], self._first_edge[nodes + 1])

    def edges_at(self, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Edges from ``nodes``, and for each which of ``nodes`` it is from."""
        counts = self._first_edge[nodes + 1] - self._first_edge[nodes]
        return self.edges_from(nodes), np.repeat(np.arange(len(nodes)), counts)

    @cached_property
    def _by_target(self) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(self.targets, kind="stable")
        return order, self.targets[order]

    def edges_into(self, node: int) -> np.ndarray:
        order, targets = self._by_target
        return order[slice(*np.searchsorted(targets, (node, node + 1)))]

    def _sorted(self) -> list[np.ndarray]:
        """Nodes in waves, each after all that lead to it."""
        pending = np.bincount(self.targets, minlength=self.size)
        waves, wave = [], np.flatnonzero(pending == 0)
        while wave.size:
            waves.append(wave)
            targets = self.targets[self.edges_from(wave)]
            np.subtract.at(pending, targets, 1)
            wave = np.unique(targets[pending[targets] == 0])
        if pending.any():
            raise ToolError(f"combinational loop: {self._loop(pending > 0)}")
        return waves

    def _loop(self, pending: np.ndarray) -> str:
        """Walk back from a node that no wave reached: it comes from another one, and so on."""
        node, seen = int(np.flatnonzero(pending)[0]), []
        while node not in seen:
            seen.append(node)
            sources = self.sources[self.edges_into(node)]
            node = int(sources[pending[sources]][0])
        loop = (self.name(n) for n in reversed(seen[seen.index(node) :]))
        names = [name for name in dict.fromkeys(loop) if not name.endswith(".")]
        shown = names if len(names) <= LOOP_SHOWN else [*names[: LOOP_SHOWN - 1], "...", names[-1]]
        return " -> ".join([*shown, names[0]])

    # --- levels -----------------------------------------------------------------------------------

    def arrivals(self, levels: np.ndarray) -> np.ndarray:
        """Return the most levels from a register, or an input of the top, to each net.

        ``levels`` (of each edge) is ``self.levels`` or ``self.apart``.
        """
        arrival = np.full(self.size, UNREACHED)
        arrival[self.starts] = 0
        arrival[self.inputs] = 0
        for wave in self._waves:
            edges = self.edges_from(wave[arrival[wave] != UNREACHED])
            reached = arrival[self.sources[edges]] + levels[edges]
            np.maximum.at(arrival, self.targets[edges], reached)
        return arrival

    def reach(self, nodes: np.ndarray, first: int, last: int) -> np.ndarray:
        """Return the most levels from ``nodes`` to each net from ``first`` to before ``last``."""
        arrival = np.full(last - first, UNREACHED)
        arrival[nodes - first] = 0
        while nodes.size:
            edges = self.edges_from(nodes)
            edges = edges[(self.targets[edges] >= first) & (self.targets[edges] < last)]
            targets = self.targets[edges] - first
            reached = arrival[self.sources[edges] - first] + self.levels[edges]
            better = reached > arrival[targets]
            np.maximum.at(arrival, targets[better], reached[better])
            nodes = np.unique(targets[better]) + first
        return arrival

    def path_to(self, node: int, arrival: np.ndarray) -> list[int]:
        """Nets of a path with the most levels, from its start to ``node``."""
        path = [node]
        while True:
            edges = self.edges_into(node)
            sources = self.sources[edges]
            before = arrival[sources] + self.levels[edges] == arrival[node]
            before &= arrival[sources] != UNREACHED
            if not before.any():
                return path[::-1]
            node = int(sources[before][0])
            path.append(node)


def _links(cell: Cell, inside: ModuleGraph) -> tuple[np.ndarray, np.ndarray]:
    """(2, links): from nets outside an instance to its inputs, and from its outputs to nets."""

    def pairs(pins: Mapping[str, list[Bit]]) -> np.ndarray:
        links = [
            link
            for port, bits in pins.items()
            for link in zip(bits, inside.ports[port][1], strict=True)
            if len(nets(link)) == 2
        ]
        return np.array(links, int).reshape(-1, 2).T

    return pairs(cell.inputs), pairs(cell.outputs)[::-1]


def _ranges(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """``first[0] ... last[0] - 1``, ``first[1] ... last[1] - 1`` and so on."""
    counts = last - first
    return np.arange(counts.sum()) + np.repeat(first - np.cumsum(counts) + counts, counts)


def _joined(arrays: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate(list(arrays))
