"""Cells are counted once per kind of module and multiplied through every level."""

import pytest
from amaranth.hdl import Module as Logic
from amaranth.hdl import Signal, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from rtl.build.synthesis import FAMILIES, Module, Resources, count, family_of, synthesise
from rtl.errors import ToolError, UserError
from rtl.lib.emit import emit_rtlil, once

LEAF = Resources(dsp=1, ff=64, bram36=1)


class Leaf(wiring.Component):
    """A multiplier with registers on both sides (Yosys leaves them outside) and a memory."""

    parameters = ()
    a: In(signed(16))
    b: In(signed(16))
    address: In(9)
    enable: In(1)
    o: Out(signed(32))
    word: Out(72)

    def elaborate(self, platform):
        m = Logic()
        a, b = Signal(signed(16), reset_less=True), Signal(signed(16), reset_less=True)
        m.d.sync += [a.eq(self.a), b.eq(self.b), self.o.eq(a * b)]
        m.submodules.words = words = memory.Memory(shape=72, depth=512, init=[])
        write, read = words.write_port(), words.read_port()
        m.d.comb += [
            write.en.eq(self.enable),
            write.addr.eq(self.address),
            write.data.eq(self.o),
            read.addr.eq(self.address),
            read.en.eq(1),
            self.word.eq(read.data),
        ]
        return m


class Pair(wiring.Component):
    """Two leaves and 32 XOR gates."""

    parameters = ()
    a: In(signed(16))
    address: In(9)
    o: Out(32)
    word: Out(72)

    def elaborate(self, platform):
        m = Logic()
        leaves = [Leaf(), Leaf()]
        for n, leaf in enumerate(leaves):
            m.submodules[f"leaf_{n}"] = once(leaf, platform)
            m.d.comb += [leaf.a.eq(self.a), leaf.b.eq(n), leaf.enable.eq(1)]
            m.d.comb += leaf.address.eq(self.address)
        m.d.comb += self.o.eq(leaves[0].o ^ leaves[1].o)
        m.d.comb += self.word.eq(leaves[0].word)
        return m


class Top(wiring.Component):
    """Three pairs: a leaf's resources count six times."""

    a: In(signed(16))
    address: In(9)
    o: Out(3 * 32)

    def elaborate(self, platform):
        m = Logic()
        for n in range(3):
            pair = Pair()
            m.submodules[f"pair_{n}"] = once(pair, platform)
            m.d.comb += [pair.a.eq(self.a), pair.address.eq(self.address)]
            m.d.comb += self.o.word_select(n, 32).eq(pair.o)
        return m


@pytest.mark.parametrize("device", ["xczu9eg-ffvb1156-2-e", "LFE5U-85F-6BG381C"])
def test_a_design_of_three_levels(device):
    synthesis = synthesise(emit_rtlil(Top(), "top"), "top", device)
    used = synthesis.used
    assert set(synthesis.netlist["modules"]) == {"top", "pair", "leaf"}  # none of the device's
    assert used.modules == {
        "top": Module(1, Resources()),
        "pair": Module(3, Resources(lut=32)),
        "leaf": Module(6, LEAF),
    }
    assert used.units == {"pair": used.total}
    assert used.total == LEAF * 6 + Resources(lut=3 * 32)


class Part(wiring.Component):
    """A leaf that the top has once, in a module of its own."""

    a: In(signed(16))
    address: In(9)
    o: Out(32)

    def elaborate(self, platform):
        m = Logic()
        m.submodules.leaf = leaf = Leaf()
        m.d.comb += [leaf.a.eq(self.a), leaf.b.eq(self.a), leaf.address.eq(self.address)]
        m.d.comb += [leaf.enable.eq(1), self.o.eq(leaf.o ^ leaf.word)]
        return m


class Parts(wiring.Component):
    a: In(signed(16))
    address: In(9)
    o: Out(32)

    def elaborate(self, platform):
        m = Logic()
        m.submodules.part, m.submodules.pair = part, pair = Part(), Pair()
        for one in (part, pair):
            m.d.comb += [one.a.eq(self.a), one.address.eq(self.address)]
        m.d.comb += self.o.eq(part.o ^ pair.o)
        return m


def test_flattened_are_all_modules_but_units_and_those_that_repeat():
    rtlil = emit_rtlil(Parts(), "top")
    kept = synthesise(rtlil, "top", "xczu9eg")
    flat = synthesise(rtlil, "top", "xczu9eg", flatten=True)
    assert set(kept.used.modules) == {"top", "top.part", "top.part.leaf", "top.pair", "leaf"}
    assert set(flat.used.modules) == {"top", "top.part", "top.pair", "leaf"}
    assert flat.used.total == kept.used.total


def stat(**modules):
    return {f"\\{name}": {"num_cells_by_type": cells} for name, cells in modules.items()}


def test_what_counts_as_what():
    cells = {
        "LUT6": 5, "SRL16E": 2, "RAM64M8": 1, "INV": 1, "CARRY4": 9, "MUXF7": 9, "MUXF8": 9,
        "FDRE": 7, "DSP48E2": 3, "RAMB36E2": 2, "RAMB18E2": 3,
    }  # fmt: skip
    used = count(stat(top=cells), "top", FAMILIES["xilinx"].cells)
    assert used.total == Resources(dsp=3, lut=5 + 2 + 8 + 1, ff=7, bram36=3.5)


def test_modules_multiply_through_every_level():
    modules = stat(
        top={"\\middle": 3, "leaf": 1, "LUT2": 1}, middle={"leaf": 2, "FDRE": 1}, leaf={"LUT4": 10}
    )
    used = count(modules, "top", FAMILIES["xilinx"].cells)
    assert used.modules["leaf"].instances == 7
    assert used.total == Resources(lut=71, ff=3)
    assert used.units == {"middle": Resources(lut=60, ff=3), "leaf": Resources(lut=10)}


def test_an_unknown_cell_is_no_free_cell():
    with pytest.raises(ToolError, match=r"unknown kind, 2 URAM288 in module top"):
        count(stat(top={"URAM288": 2}), "top", FAMILIES["xilinx"].cells)


def test_boards_without_a_part_are_counted_as_ultrascale():
    assert family_of("verilator") == family_of("xczu9eg-ffvb1156-2-e") == "xilinx"


@pytest.mark.parametrize(
    ("device", "what"),
    [
        ("xc7z020clg400-1", "it is of AMD 7 series; only those"),
        ("xcvc1902-vsva2197-2MP-e-S", "it is of AMD Versal; only those"),
        ("5CSEBA6U23I7", "it is of Altera Cyclone; only those"),
        ("GW2A-LV18", "it is of Gowin; only those"),
        ("ice40up5k", "it is of Lattice iCE40; only those"),
        ("", "only those"),
    ],
)
def test_a_device_of_another_family_is_refused_by_name(device, what):
    with pytest.raises(UserError, match=r"UltraScale\+ \(xczu, xck, .*ECP5") as error:
        family_of(device)
    assert str(error.value).startswith(f"resources of device {device!r} cannot be counted: {what}")
