# amaranth: UnusedElaboratable=no
"""Units as netlists of ECP5 cells, their output registers taken in, beside their RTL."""

import json

import pytest
from amaranth.hdl import Module, Mux, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from rtl.arith.multiply import AddMultiply, MultiplyAdd
from rtl.build.absorb import absorb_in_file
from rtl.build.route import flat_netlist
from rtl.build.verilog import emit_verilog
from rtl.config import ULX3S
from rtl.lib.devices import Primitives
from rtl.lib.emit import emit_rtlil
from rtl.matmul.array import MultiplierArray
from rtl.memory.scratchpads.bank import Bank
from rtl.vector.norm_lanes import NormLanes
from rtl.vector.softmax_lanes import SoftmaxLanes
from sim.netlist.build import LENIENT
from sim.netlist.cells import OWN, instance_models
from sim.netlist.routed import RoutedNetlist
from sim.toolchain.builder import build

pytestmark = pytest.mark.silicon

USED = 4  # address bits, so that writes meet reads


class SafeBank(wiring.Component):
    """A bank whose words are not written as they are read: what is read then has no meaning."""

    def __init__(self, depth, parts, part_bits):
        self.bank = Bank(depth, parts, part_bits)
        super().__init__(dict(self.bank.signature.members))

    def elaborate(self, platform):
        m = Module()
        m.submodules.bank = bank = self.bank
        for name, member in self.signature.members.items():
            inner, outer = getattr(bank, name), getattr(self, name)
            if name.endswith("_word"):
                outer = outer[:USED]
            if name == "write_enable":
                meets = self.write_word[:USED] == self.read_word[:USED]
                outer = Mux(meets, 0, outer)
            m.d.comb += inner.eq(outer) if member.flow is In else outer.eq(inner)
        return m


UNITS = {
    "unsigned": lambda: MultiplyAdd(unsigned(26), unsigned(17), unsigned(43)),
    "mixed": lambda: MultiplyAdd(signed(26), unsigned(17), signed(44)),
    "addend": lambda: MultiplyAdd(signed(27), signed(16), signed(43), signed(42)),
    "sum": lambda: AddMultiply(signed(27), unsigned(17), signed(44)),
    "bank_of_18": lambda: SafeBank(1024, 2, 24),
    "bank_of_36": lambda: SafeBank(512, 4, 60),
    "norm": lambda: NormLanes(ULX3S),
    "softmax": lambda: SoftmaxLanes(ULX3S),
    "array": lambda: MultiplierArray(ULX3S),
}


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_and_its_netlist_do_the_same(name, tmp_path):
    ports = {In: {}, wiring.Out: {}}
    unit = UNITS[name]()
    for path, member, value in unit.signature.flatten(unit):
        ports[member.flow]["__".join(map(str, path))] = len(Value.cast(value))
    inputs, outputs = ports[In], ports[wiring.Out]
    (tmp_path / "rtl.v").write_text(emit_verilog(unit, "unit", Primitives.ECP5))
    flat_netlist(emit_rtlil(UNITS[name](), "unit", Primitives.ECP5), "unit", tmp_path)
    netlist = tmp_path / "netlist.json"
    taken_in = absorb_in_file(netlist)
    assert taken_in["flip_flops"] > 0
    RoutedNetlist(netlist).write_verilog(tmp_path / "netlist.v")
    (tmp_path / "cells.v").write_text(instance_models())
    known = json.loads(netlist.read_text())["modules"]["unit"]["ports"]
    (tmp_path / "twins.v").write_text(harness(inputs, outputs, known))
    sources = [OWN, *(tmp_path / f"{each}.v" for each in ("cells", "rtl", "netlist", "twins"))]
    job = {"inputs": {f"given_{n}": bits for n, bits in inputs.items()}, "outputs": list(outputs)}
    simulation = build(sources, "twins", arguments=LENIENT, optimize="-O0")
    simulation.run("tests.benches.netlist_twins", env={"PULSAR_JOB": json.dumps(job)})


def harness(inputs, outputs, known):
    """Both modules with the same inputs; a name may be a word of Verilog's, such as signed."""
    wires = [f"input [{bits - 1}:0] given_{name}" for name, bits in inputs.items()]
    wires += [f"output [{bits - 1}:0] {kind}_{name}" for name, bits in outputs.items()
              for kind in ("rtl", "netlist")]  # fmt: skip
    given = [f".\\{name} (given_{name})" for name in inputs if name in known]
    given += [f".{name}({name})" for name in ("clk", "rst") if name in known]
    bodies = []
    for module, kind in (("unit", "rtl"), ("routed", "netlist")):
        found = [f".\\{name} ({kind}_{name})" for name in outputs]
        bodies.append(f"{module} {kind}_unit({', '.join(given + found)});")
    text = "\n".join(bodies)
    return f"module twins(input clk, rst, {', '.join(wires)});\n{text}\nendmodule\n"
