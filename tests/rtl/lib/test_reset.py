# amaranth: UnusedElaboratable=no
"""The reset tree: a copy of the reset for each part, in the simulator, in Verilog, after Yosys."""

import json
import re
from collections import Counter

import pytest
from amaranth.hdl import Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.build.verilog import emit_verilog, yosys
from rtl.lib.emit import Emitter, once
from rtl.lib.pipeline import COPY
from rtl.lib.reset import ResetTree
from tests.rtl.simulation import simulate


class Total(wiring.Component):
    parameters = ()
    i: In(4)
    o: Out(4)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.i + self.o)
        return m


class Pair(wiring.Component):
    """One part that is a module of its own, one that is shared."""

    i: In(4)
    o: Out(4)

    def elaborate(self, platform):
        m = Module()
        own, shared = Total(), Total()
        m.submodules.own, m.submodules.shared = own, once(shared, platform)
        m.d.comb += [own.i.eq(self.i), shared.i.eq(own.o), self.o.eq(shared.o)]
        return m


class Tree(wiring.Component):
    i: In(4)
    clear: In(1)
    o: Out(4).array(2)

    def elaborate(self, platform):
        m = Module()
        root = Signal(reset_less=True, attrs=COPY)
        m.d.sync += root.eq(self.clear | ResetSignal(allow_reset_less=True))
        tree = ResetTree(m, root, platform)
        for index, branches in enumerate(((), ("own",))):
            pair = Pair()
            m.submodules[f"pair_{index}"] = tree.part(f"pair_{index}", pair, branches)
            m.d.comb += [pair.i.eq(self.i), self.o[index].eq(pair.o)]
        return m


def test_a_part_is_in_reset_two_cycles_after_the_cause():
    dut = Tree()

    async def bench(ctx):
        ctx.set(dut.i, 1)
        await ctx.tick().repeat(4)
        assert ctx.get(dut.o[0]) == ctx.get(dut.o[1]) == 6
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        await ctx.tick()
        assert ctx.get(dut.o[0]) != 0
        await ctx.tick()
        assert ctx.get(dut.o[0]) == ctx.get(dut.o[1]) == 0
        await ctx.tick().repeat(2)
        assert ctx.get(dut.o[0]) == ctx.get(dut.o[1]) == 1

    simulate(dut, bench)


SYNTHESIS = {
    "ecp5": ("synth_lattice -family ecp5 -top tree", "TRELLIS_FF", "LSR"),
    "ultrascale+": ("synth_xilinx -family xcup -noiopad -top tree", "FDRE", "R"),
}


@pytest.mark.parametrize("device", SYNTHESIS)
def test_copies_survive_when_the_design_is_flattened(device, tmp_path):
    """From the Verilog that users synthesise; no logic lies between a copy and what it resets."""
    script, register, reset = SYNTHESIS[device]
    (tmp_path / "tree.v").write_text(emit_verilog(Tree(), "tree"))
    script = f"read_verilog tree.v; hierarchy -top tree; proc; flatten; {script} -run :map_luts"
    yosys(["-q", "-p", f"{script}; select tree; write_json -selected tree.json"], cwd=tmp_path)
    cells = json.loads((tmp_path / "tree.json").read_text())["modules"]["tree"]["cells"]
    flip_flops = [cell["connections"] for cell in cells.values() if cell["type"] == register]
    assert len(flip_flops) == 16 + 4  # two pairs of totals; root and three copies
    driven = {pins["Q"][0] for pins in flip_flops}
    loads = Counter(pins[reset][0] for pins in flip_flops if pins[reset][0] in driven)
    assert sorted(loads.values()) == [4, 4, 8]


def test_verilog_says_which_registers_stay():
    text = emit_verilog(Tree(), "tree")
    kept = re.findall(r"\(\* keep = 32'd1 \*\)\n  always @\(posedge clk\)\n    (\w+) <=", text)
    assert sorted(kept) == ["pair_0_reset", "pair_1_own_reset", "pair_1_reset", "root"]


def test_an_unknown_branch_is_named():
    m = Module()
    with pytest.raises(AssertionError, match=r"pair has no submodules \{'drain'\}"):
        ResetTree(m, Signal(), Emitter()).part("pair", Pair(), ["drain"])
