"""Which DSPs and block memories have no output register, and which of them can take one in."""

from dataclasses import asdict

import pytest

from rtl.build.netlist.flat import Graph
from rtl.build.netlist.outputs import unregistered
from tests.rtl.build.netlist.netlists import Cells, design

OFF, ON = "0" * 32, "0" * 31 + "1"
NO_OUTPUT = {"DOA_REG": OFF, "DOB_REG": OFF}


def of(top, **modules):
    found = asdict(unregistered(Graph(design(top=top, **modules), "top")))
    del found["modules"]
    return {name: count for name, count in found.items() if count}


def memory(outputs="a b", parameters=NO_OUTPUT):
    cells = Cells(["clk"])
    cells("RAMB36E2", "ram", parameters, ADDRARDADDR="x", DOUTADOUT=outputs)
    return cells


def test_flip_flops_behind_it_can_go_in():
    cells = memory()
    cells.registers("a>q b>r")
    assert of(cells) == {"bram": 1, "bram_absorbable": 1}


def test_outputs_that_nothing_reads_do_not_count():
    assert of(memory()) == {}
    cells = memory("a unread")
    cells.registers("a>q")
    assert of(cells) == {"bram": 1, "bram_absorbable": 1}


def test_a_register_of_the_other_port_is_none():
    cells = memory(parameters={"DOA_REG": ON, "DOB_REG": OFF})
    cells.registers("a>q b>r")
    assert of(cells) == {}
    cells("RAMB36E2", "other", {"DOA_REG": ON, "DOB_REG": OFF}, DOUTBDOUT="c")
    cells.lut("c", "d")
    assert of(cells) == {"bram": 1}


def test_attributes_that_are_not_set_have_their_default():
    cells = memory(parameters={})
    cells.registers("a>q b>r")
    cells("DSP48E2", A="q", P="p")
    cells.registers("p>s")
    assert of(cells) == {}


def test_logic_in_between():
    cells = memory()
    cells.lut("a b", "c")
    cells.registers("c>q")
    assert of(cells) == {"bram": 1}


def test_logic_beside_the_flip_flop():
    cells = memory()
    cells.registers("a>q b>r")
    cells.lut("a", "c")
    assert of(cells) == {"bram": 1}


def test_two_flip_flops_on_one_bit():
    cells = memory()
    cells.registers("a>q b>r b>s")
    assert of(cells) == {"bram": 1}


@pytest.mark.parametrize("pin", ["CE", "R"])
def test_flip_flops_that_are_not_controlled_alike(pin):
    cells = memory()
    cells.registers("a>q")
    cells("FDRE", **{"C": "clk", "CE": "1", "R": "0", "D": "b", "Q": "r"} | {pin: "x"})
    assert of(cells) == {"bram": 1}


def test_an_output_that_enables_a_flip_flop():
    cells = memory("a")
    cells("FDRE", C="clk", CE="a", R="0", D="x", Q="r")
    assert of(cells) == {"bram": 1}


def test_an_output_of_the_top():
    cells = Cells(["clk"], ["o"])
    cells("RAMB36E2", "ram", NO_OUTPUT, DOUTADOUT="o")
    assert of(cells) == {"bram": 1}


def test_across_modules_by_instance():
    bank = Cells(["x"], ["o"])
    bank("RAMB36E2", "ram", NO_OUTPUT, ADDRARDADDR="x", DOUTADOUT="o")
    top = Cells(["clk"])
    top.instance("bank", "first", bank, x="x", o="a")
    top.instance("bank", "second", bank, x="x", o="b")
    top.instance("bank", "unread", bank, x="x", o="c")
    top.registers("a>q")
    top.lut("b", "d")
    netlist = design(top=top, bank=bank)
    assert unregistered(Graph(netlist, "top")).modules == {
        "bank": {"bram": 2, "bram_absorbable": 1}
    }


def test_dsps():
    bare = {"PREG": OFF, "MREG": OFF, "USE_MULT": "MULTIPLY"}
    cells = Cells(["clk"])
    cells("DSP48E2", "full", {"PREG": ON, "MREG": ON}, A="x", P="a")
    cells("DSP48E2", "bare", bare, A="x", P="b")
    cells("DSP48E2", "adder", {"PREG": OFF, "MREG": OFF, "USE_MULT": "NONE"}, A="x", P="c")
    cells("DSP48E2", "below", {"PREG": OFF, "MREG": ON}, A="x", PCOUT="d")
    cells("DSP48E2", "above", {"PREG": ON, "MREG": ON}, PCIN="d", P="e")
    cells.registers("b>q")
    cells.lut("c", "f")
    assert of(cells) == {"dsp": 3, "dsp_absorbable": 1, "dsp_without_mreg": 1}
