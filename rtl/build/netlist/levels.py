"""Levels of logic between registers, by unit, with the paths that have the most."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from rtl.build.netlist.cells import nets
from rtl.build.netlist.flat import UNREACHED, Graph, Place
from rtl.build.netlist.module import array


@dataclass(frozen=True)
class Path:
    """The longest way to a register, DSP or memory.

    Parameters
    ----------
    levels : int
    ends : int
        Bits of the register, in all instances of its module, that as many levels lead to.
    start, end : str
        Names with the path of their module; the end's with its pin.
    through : tuple of str
        Cells on the way by module, with the source's name of what they drive, if it has one.
    """

    levels: int
    ends: int
    start: str
    end: str
    through: tuple[str, ...]


@dataclass(frozen=True)
class Through:
    """A combinational way through a unit.

    Parameters
    ----------
    unit, input, output : str
    levels : int
        Most levels between the two ports.
    """

    unit: str
    input: str
    output: str
    levels: int


@dataclass(frozen=True)
class UnitLevels:
    """Levels of a module that the top instantiates.

    Parameters
    ----------
    levels : int
        Most levels on paths that end in the unit, from wherever they come.
    apart : int
        The same, but a carry chain and the LUT in front of it count as two.
    from_inputs, to_outputs : int
        Most levels inside the unit of paths across its border: from an input to a register of its
        own, from a register of its own to an output.
    ends : dict of int to int
        Bits where paths end, by levels; those without a LUT on the way are left out.
    """

    levels: int
    apart: int
    from_inputs: int
    to_outputs: int
    ends: dict[int, int]


@dataclass(frozen=True)
class Levels:
    """Levels of a design; rtl.build.netlist.cells says what a level is.

    Ports of the top are taken for registers: what is outside is to have some there.

    Parameters
    ----------
    levels, apart : int
        Most levels of all units; as in :class:`UnitLevels`.
    units : dict of str to UnitLevels
        Every unit by its instance's name; the top's own registers and outputs by its module's.
    paths : list of Path
        Paths, the longest first, one for each register.
    through : list of Through
        Ways through all units, the longest first.
    """

    levels: int
    apart: int
    units: dict[str, UnitLevels]
    paths: list[Path]
    through: list[Through]


def measure(graph: Graph, paths: int) -> Levels:
    """Measure a netlist; ``paths`` is how many to trace."""
    arrival, apart = graph.arrivals(graph.levels), graph.arrivals(graph.apart)
    at_ends, apart_at_ends = arrival[graph.ends].clip(0), apart[graph.ends].clip(0)
    units: dict[str, UnitLevels] = {}
    through: list[Through] = []
    for unit, first, last in _units(graph):
        is_inside = (graph.ends >= first) & (graph.ends < last)
        counts = Counter(at_ends[is_inside].tolist())
        from_inputs, to_outputs = _across(graph, unit, first, last)
        units[_name(unit)] = UnitLevels(
            levels=max(counts, default=0),
            apart=int(apart_at_ends[is_inside].max(initial=0)),
            from_inputs=from_inputs,
            to_outputs=to_outputs,
            ends={levels: counts[levels] for levels in sorted(counts) if levels},
        )
        if unit.path:
            through += _through(graph, unit, first, last)
    return Levels(
        levels=int(at_ends.max(initial=0)),
        apart=int(apart_at_ends.max(initial=0)),
        units=units,
        paths=_paths(graph, arrival, at_ends, paths),
        through=sorted(through, key=lambda way: (-way.levels, way.unit, way.input, way.output)),
    )


def _units(graph: Graph) -> Iterator[tuple[Place, int, int]]:
    """Yield the top and the modules in it, each with its first net and the first of the next."""
    tops = [place for place in graph.places if len(place.path) <= 1]
    lasts = [*(place.first for place in tops[1:]), graph.size]
    return zip(tops, (place.first for place in tops), lasts, strict=True)


def _name(unit: Place) -> str:
    return unit.path[0] if unit.path else unit.module.name


def _across(graph: Graph, unit: Place, first: int, last: int) -> tuple[int, int]:
    """Levels from a unit's inputs to its registers, and from those to its outputs."""
    starts = graph.starts[(graph.starts >= first) & (graph.starts < last)]
    ends = graph.ends[(graph.ends >= first) & (graph.ends < last)] - first
    from_inputs = graph.reach(first + unit.module.port_nets("input"), first, last)[ends]
    to_outputs = graph.reach(starts, first, last)[unit.module.port_nets("output")]
    return int(from_inputs.max(initial=0)), int(to_outputs.max(initial=0))


def _through(graph: Graph, unit: Place, first: int, last: int) -> Iterator[Through]:
    ports = unit.module.ports.items()
    inputs = [
        (name, array(nets(bits))) for name, (direction, bits) in ports if direction == "input"
    ]
    outputs = [
        (name, array(nets(bits))) for name, (direction, bits) in ports if direction == "output"
    ]
    for start, source in inputs:
        arrival = graph.reach(first + source, first, last)
        for end, sinks in outputs:
            levels = int(arrival[sinks].max(initial=UNREACHED))
            if levels != UNREACHED:
                yield Through(_name(unit), start, end, levels)


def _paths(graph: Graph, arrival: np.ndarray, at_ends: np.ndarray, count: int) -> list[Path]:
    """One path to each group of ends, the longest first."""
    offsets = {}
    labels: list[str] = []
    for name, module in graph.modules.items():
        offsets[name] = len(labels)
        labels += module.end_groups[0]
    groups = np.concatenate(
        [offsets[place.module.name] + place.module.end_groups[1] for place in graph.places]
    )
    most = np.zeros(len(labels), int)
    np.maximum.at(most, groups, at_ends)
    is_most = at_ends == most[groups]
    ends = np.bincount(groups[is_most], minlength=len(labels))
    example = np.zeros(len(labels), int)
    example[groups[is_most][::-1]] = np.flatnonzero(is_most)[::-1]  # the first of each
    worst = np.lexsort((example, -ends, -most))[:count]
    return [
        _path(graph, arrival, int(example[group]), labels[group], int(ends[group]))
        for group in worst
        if most[group]
    ]


def _path(graph: Graph, arrival: np.ndarray, end: int, label: str, ends: int) -> Path:
    node = int(graph.ends[end])
    nodes = graph.path_to(node, arrival)
    start = graph.place_of(nodes[0])
    driver = start.module.drivers.get(nodes[0] - start.first)
    kind = driver.cell.kind if driver else "port"
    return Path(
        levels=int(arrival[node]),
        ends=ends,
        start=f"{graph.name(nodes[0])} ({kind})",
        end=".".join((*graph.places[graph.end_places[end]].path, label)),
        through=tuple(_by_module(graph, nodes, arrival)),
    )


def _by_module(graph: Graph, nodes: list[int], arrival: np.ndarray) -> Iterator[str]:
    """``matmul.drain: LUT6 enable, LUT2+CARRY8 sum``: as many between the commas as levels."""
    steps: dict[int, tuple[str, list[str], str]] = {}  # by level
    for node in nodes[1:]:
        place = graph.place_of(node)
        driver = place.module.drivers.get(node - place.first)
        if driver is None:
            continue  # a port, or a bit inside a carry chain
        level = int(arrival[node])
        kinds = steps[level][1] if level in steps else []
        kinds = list(dict.fromkeys([*kinds, driver.cell.kind]))
        name = place.module.names.get(node - place.first, "")
        steps[level] = (".".join(place.path) or place.module.name, kinds, name)
    for module, group in groupby(steps.values(), key=lambda step: step[0]):
        cells = (f"{'+'.join(kinds)} {name}".rstrip() for _, kinds, name in group)
        yield f"{module}: {', '.join(cells)}"
