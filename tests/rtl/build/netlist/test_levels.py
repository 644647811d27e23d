"""Levels by unit and the paths that have the most: by hand, and of what Yosys makes of a design."""

import pytest
from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from rtl.build.netlist.flat import Graph
from rtl.build.netlist.levels import Path, Through, UnitLevels, measure
from rtl.build.netlist.outputs import unregistered
from rtl.build.synthesis import synthesise
from rtl.lib.emit import emit_rtlil, once
from tests.rtl.build.netlist.netlists import Cells, design


@pytest.fixture
def units():
    """``first``: register, LUT, output; ``second``: LUT, register, and LUT from input to output."""
    first = Cells(["clk"], ["o"])
    first.registers("x>row")
    first.lut("row row", "o")
    second = Cells(["clk", "i"], ["late", "wire"])
    second.lut("i i", "next")
    second.registers("next>count")
    second.lut("i count", "late")
    second.ports["wire"] = ("output", second.bits("i"))
    top = Cells(["clk"], ["late", "wire"])
    top.instance("first", "a", first, clk="clk", o="between")
    top.lut("between between", "i")
    top.instance("second", "b", second, clk="clk", i="i", late="late", wire="wire")
    return design(top=top, first=first, second=second)


def test_units(units):
    levels = measure(Graph(units, "top"), 0)
    assert levels.units == {
        "top": UnitLevels(levels=3, apart=3, from_inputs=0, to_outputs=0, ends={2: 1, 3: 1}),
        "a": UnitLevels(levels=0, apart=0, from_inputs=0, to_outputs=1, ends={}),
        "b": UnitLevels(levels=3, apart=3, from_inputs=1, to_outputs=1, ends={3: 1}),
    }
    assert levels.through == [Through("b", "i", "late", 1), Through("b", "i", "wire", 0)]
    assert (levels.levels, levels.apart, levels.paths) == (3, 3, [])


def test_paths(units):
    paths = measure(Graph(units, "top"), 2).paths
    assert paths == [
        Path(3, 1, "a.row (FDRE)", "late", ("a: LUT2 o", "top: LUT2 i", "b: LUT2 late")),
        Path(3, 1, "a.row (FDRE)", "b.count.D", ("a: LUT2 o", "top: LUT2 i", "b: LUT2 next")),
    ]


class Block(wiring.Component):
    """Registers with a known number of levels in front of them."""

    parameters = ()
    a: In(24)
    b: In(24)
    parity: Out(1)
    total: Out(24)
    chosen: Out(1)
    word: Out(8)
    read: Out(8)

    def elaborate(self, platform):
        m = Module()
        a = Signal(24)
        b = Signal(24)
        m.submodules.table = table = memory.Memory(shape=8, depth=2048, init=[])
        m.submodules.small = small = memory.Memory(shape=8, depth=64, init=[])
        write, small_write = table.write_port(), small.write_port()
        port, small_port = table.read_port(), small.read_port(domain="comb")
        for one in (write, small_write):
            m.d.comb += [one.en.eq(a[0]), one.addr.eq(a), one.data.eq(b)]
        m.d.comb += [port.en.eq(1), port.addr.eq(b), small_port.addr.eq(b)]
        m.d.sync += [
            a.eq(self.a),
            b.eq(self.b),
            self.parity.eq(a.xor()),
            self.total.eq(a + b),
            self.chosen.eq(Array(a[:16])[b[:4]]),
            self.word.eq(port.data),
            self.read.eq(small_port.data),
        ]
        return m


class Blocks(wiring.Component):
    a: In(24)
    b: In(24)
    o: Out(42)
    even: Out(1)

    def elaborate(self, platform):
        m = Module()
        blocks = [Block(), Block()]
        outputs = []
        for n, block in enumerate(blocks):
            m.submodules[f"block_{n}"] = once(block, platform)
            m.d.comb += [block.a.eq(self.a), block.b.eq(self.b)]
            outputs.append(Cat(block.parity, block.total, block.chosen, block.word, block.read))
        m.d.sync += self.o.eq(outputs[0])
        m.d.sync += self.even.eq((outputs[0] ^ outputs[1])[:12].xor())
        return m


@pytest.fixture(scope="module", params=["xczu9eg-ffvb1156-2-e", "LFE5U-85F-6BG381C"])
def blocks(request):
    synthesis = synthesise(emit_rtlil(Blocks(), "top"), "top", request.param)
    graph = Graph(synthesis.netlist, "top")
    levels = measure(graph, 1000)
    return request.param, levels, graph


def to(levels, register):
    """The path to a register's data, whatever the family calls the pin."""
    ends = {path.end: path for path in levels.paths}
    return next(ends[end] for end in (f"{register}.D", f"{register}.DI") if end in ends)


def test_registers_of_a_real_netlist(blocks):
    _, levels, _ = blocks
    assert to(levels, "block_0.total").levels == 1
    assert to(levels, "block_0.total").ends == 2 * 24  # in both instances
    # 24 bits: LUTs of 6 inputs, or of 4 with the multiplexers that make them LUTs of 6.
    assert to(levels, "block_0.parity").levels == 2
    assert to(levels, "even").levels == 2  # across both blocks' ports
    assert to(levels, "block_0.chosen").levels == 2
    assert not any(path.end.startswith("block_0.word") for path in levels.paths)  # no logic there


def test_a_lut_memory_of_a_real_netlist(blocks):
    device, levels, _ = blocks
    path = to(levels, "block_0.read")
    if device.startswith("xc"):
        assert path.through == ("block_0: RAM64M8",)
    else:  # four memories of 16 words each, and a multiplexer
        assert path.through == ("block_0: TRELLIS_DPR16X4, LUT4, LUT4+PFUMX",)


def test_real_names(blocks):
    _, levels, _ = blocks
    path = to(levels, "block_0.total")
    assert path.start.startswith(("block_0.a", "block_0.b"))
    assert path.through[0].startswith("block_0: ")
    assert all(len(cells.split(": ")[1].split(", ")) <= path.levels for cells in path.through)


def test_block_memories_of_a_real_netlist(blocks):
    _, _, graph = blocks
    found = unregistered(graph)
    assert found.bram == found.bram_absorbable > 0
    assert found.bram % 2 == 0
    assert set(found.modules) == {"block"}
