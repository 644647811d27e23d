"""Instances become one graph: across ports, without constants, without loops."""

import pytest

from rtl.build.netlist.flat import UNREACHED, Graph
from rtl.errors import ToolError
from tests.rtl.build.netlist.netlists import Cells, design


def gate():
    """A LUT from ``i`` to ``o``, a wire from ``i`` to ``same``."""
    cells = Cells(["i"], ["o"])
    cells.lut("i", "o")
    cells.ports["same"] = ("output", cells.bits("i"))
    return cells


def arrival_at(graph, name):
    arrival = graph.arrivals(graph.levels)
    (node,) = (n for n in range(graph.size) if graph.name(n) == name)
    return arrival[node]


def test_paths_go_through_instances():
    top = Cells(["clk"], ["out"])
    top.registers("d>q")
    top.instance("gate", "first", gate(), i="q", o="a", same="b")
    top.instance("gate", "second", gate(), i="a", o="c", same="d")
    top.lut("b c", "out")
    graph = Graph(design(top=top, gate=gate()), "top")
    assert arrival_at(graph, "b") == 0
    assert arrival_at(graph, "d") == 1
    assert arrival_at(graph, "second.o") == 2
    assert arrival_at(graph, "out") == 3
    (out,) = (int(graph.ends[n]) for n in range(len(graph.ends)) if graph.end(n).pin == "out")
    path = graph.path_to(out, graph.arrivals(graph.levels))
    assert [graph.name(n) for n in path] == [
        "q", "first.i", "first.o", "a", "second.i", "second.o", "c", "out",
    ]  # fmt: skip


def test_inputs_of_the_top_are_starts_and_constants_are_not():
    top = Cells(["i"], ["o", "p"])
    top.instance("gate", "live", gate(), i="i", o="o", same="x")
    top.instance("gate", "dead", gate(), i="1", o="p", same="y")
    graph = Graph(design(top=top, gate=gate()), "top")
    assert arrival_at(graph, "o") == 1
    assert arrival_at(graph, "p") == UNREACHED


def test_reach_stays_inside():
    top = Cells(["clk"], ["o"])
    top.registers("d>q")
    top.instance("gate", "first", gate(), i="q", o="a", same="b")
    top.instance("gate", "second", gate(), i="a", o="o", same="c")
    graph = Graph(design(top=top, gate=gate()), "top")
    first, second = (place for place in graph.places if place.path)
    arrival = graph.reach(first.first + first.module.port_nets("input"), first.first, second.first)
    assert arrival[first.module.port_nets("output")].tolist() == [1, 0]


def test_a_loop_is_an_error():
    top = Cells(["clk"], ["out"])
    top.registers("d>q")
    top.lut("q a", "b")
    top.lut("b", "c")
    top.lut("c", "a")
    top.lut("a", "out")  # after the loop, not in it
    with pytest.raises(ToolError) as error:
        Graph(design(top=top), "top")
    prefix, _, loop = str(error.value).partition(": ")
    nets = loop.split(" -> ")
    assert prefix == "combinational loop"
    assert nets[0] == nets[-1]
    assert set(nets) == {"a", "b", "c"}
    assert "".join(nets) in "abcabca"


def test_a_loop_through_instances_is_an_error():
    top = Cells()
    top.instance("gate", "first", gate(), i="b", o="a", same="x")
    top.instance("gate", "second", gate(), i="a", o="b", same="y")
    with pytest.raises(ToolError, match=r"^combinational loop: (\S+ -> )+\S+$") as error:
        Graph(design(top=top, gate=gate()), "top")
    assert "first.o" in str(error.value)


def test_a_long_loop_is_named_in_part():
    top = Cells()
    for n in range(30):
        top.lut(f"n{n}", f"n{(n + 1) % 30}")
    with pytest.raises(ToolError) as error:
        Graph(design(top=top), "top")
    assert str(error.value).count(" -> ") == 9
    assert " ... " in str(error.value)


def test_bits_of_a_chain_are_no_loop():
    """One sum bit is an input of a bit above it, in the same cell."""
    top = Cells(["clk"])
    top.registers("d>q o1>r")
    top("CARRY4", CI="0", CYINIT="0", S="q o0 0 0", DI="q q 0 0", O="o0 o1", CO="c0 c1")
    graph = Graph(design(top=top), "top")
    assert arrival_at(graph, "o1") == 2


def test_a_design_without_cells():
    graph = Graph(design(top=Cells(["i"], ["o"])), "top")
    assert graph.arrivals(graph.levels)[graph.ends].tolist() == [UNREACHED]
