"""Loads of nets, counted across modules, with what they do there."""

from rtl.build.netlist.fanout import FanOut, fan_outs
from rtl.build.netlist.flat import Graph
from tests.rtl.build.netlist.netlists import Cells, design


def of(top, **modules):
    return fan_outs(Graph(design(top=top, **modules), "top"))


def test_loads_by_what_they_do_and_without_clocks():
    cells = Cells(["clk", "x"])
    cells.lut("x y", "enable")
    for q in "abc":
        cells("FDRE", C="clk", CE="enable", D="enable", R="x", Q=q)
    assert of(cells) == [
        FanOut("enable", "LUT2", loads=6, enables=3, resets=0),
        FanOut("x", "port", loads=4, enables=0, resets=3),
    ]


def test_a_pin_of_a_dsp_is_no_clock_by_its_name():
    cells = Cells(["x"])
    cells("DSP48E2", A="x", C="x", P="p")
    assert of(cells) == [FanOut("x", "port", loads=2, enables=0, resets=0)]


def test_loads_in_all_instances_are_those_of_the_driver():
    inner, outer = Cells(["i"], ["q"]), Cells(["i"])
    inner.registers("i>q i>r")
    outer.instance("inner", "one", inner, i="i", q="s")
    outer.instance("inner", "two", inner, i="i", q="s2")
    top = Cells(["d"])
    top.registers("d>net")
    top.instance("outer", "first", outer, i="net")
    top.instance("outer", "second", outer, i="net")
    top.lut("net", "z")
    (widest,) = of(top, inner=inner, outer=outer)
    assert widest == FanOut("net", "FDRE", loads=9, enables=0, resets=0)
