"""Repeated blocks are emitted once and wired to their own ports."""

import re

import pytest
from amaranth.hdl import Cat, Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from rtl.build.verilog import annotated, emit_verilog
from rtl.lib.emit import emit_rtlil, once
from rtl.memory.scratchpads.bank import Bank


class Adder(wiring.Component):
    def __init__(self, bits: int):
        self.parameters = (bits,)
        super().__init__({"i": In(data.ArrayLayout(signed(bits), 2)), "o": Out(signed(bits + 1))})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.i[0] + self.i[1])
        return m


class Adders(wiring.Component):
    i: In(data.ArrayLayout(signed(4), 2))
    o: Out(data.ArrayLayout(signed(5), 3))

    def elaborate(self, platform):
        m = Module()
        for n in range(3):
            adder = Adder(4)
            m.submodules[f"adder_{n}"] = once(adder, platform)
            m.d.comb += [adder.i.eq(self.i), self.o[n].eq(adder.o)]
        return m


def test_a_block_that_repeats_is_one_module():
    verilog = emit_verilog(Adders(), "adders")
    assert len(re.findall(r"^module ", verilog, re.M)) == 2
    assert len(re.findall(r"^  adder_4 adder_\d \(", verilog, re.M)) == 3
    assert verilog.count(".clk(clk)") == 3


def test_rtlil_has_one_top():
    assert emit_rtlil(Adders(), "adders").count("attribute \\top 1") == 1


@pytest.mark.filterwarnings("error")
class Extended(wiring.Component):
    """A nibble and its sign, extended, in neighbouring fields: no arithmetic hides the copies."""

    i: In(4)
    o: Out(16)

    def elaborate(self, platform):
        m = Module()
        sign = self.i[3]
        m.d.comb += self.o.eq(Cat(self.i, sign, sign, sign, self.i, sign.replicate(4), 1))
        return m


def test_copies_of_a_bit_are_one_replication():
    (line,) = re.findall(r"assign o = (.*);", emit_verilog(Extended(), "extended"))
    assert line == "{ 1'h1, {4{i[3]}}, i, {3{i[3]}}, i }"


def test_ports_get_attributes_by_their_names():
    verilog = emit_verilog(Adders(), "adders")
    found = annotated(verilog, "adders", {"clk": {"A": "b c", "D": "e"}, "o": {"A": "f"}})
    assert '\n  (* A = "b c", D = "e" *)\n  input clk;\n' in found
    assert '\n  (* A = "f" *)\n  output [14:0] o;\n' in found
    assert found.count("(* A") == 2  # not those of adder_4, which has a port clk as well
    with pytest.raises(AssertionError, match="module adders has no port reset"):
        annotated(verilog, "adders", {"reset": {"A": "b"}})


def test_in_the_simulator_nothing_changes():
    dut = Adders()

    async def bench(ctx):
        ctx.set(dut.i, [3, -7])
        await ctx.tick()
        assert list(ctx.get(dut.o)) == [-4, -4, -4]

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_hostile_memories_invert_what_collides_and_start_with_anything():
    """What they do to an engine: tests/rtl/test_engine.py."""
    plain, hostile = (emit_verilog(Bank(4, 2, 3), "bank", hostile=h) for h in (False, True))
    assert re.search(r"block_0\[\S+ \] = 0;", plain) and "^" not in plain
    assert re.search(r"block_0\[\S+ \] = 6'\(\{1\{32'd2654435769 \* \(", hostile)
    (collided,) = re.findall(r"read__data = \S+ +\^ \{ \{6\{(\S+) \}\} \};", hostile)
    (cause,) = re.findall(rf"if \(read_enable\) {re.escape(collided)}  <= (\S+) ;", hostile)
    (same, written) = re.findall(rf"assign {re.escape(cause)}  = (\S+)  & (\S+) ;", hostile)[0]
    assert f"assign {same}  = read_word == write_word;" in hostile
    assert re.search(rf"assign {re.escape(written)}  = \| .*write_enable", hostile)
