# amaranth: UnusedElaboratable=no
"""Registers that go into block RAMs and multipliers: which, and that nobody can tell."""

import json

import pytest
from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from rtl.build.absorb import absorb_in_file
from rtl.build.route import flat_netlist
from rtl.lib.emit import emit_rtlil
from sim.netlist.build import LENIENT
from sim.netlist.cells import OWN, instance_models
from sim.netlist.routed import RoutedNetlist
from sim.toolchain.builder import build

DEPTH = 1024  # of which 32 words are used: too many for LUT RAM
WIDE_DEPTH = 512
SEED = 0x1D872B41


class Registered(wiring.Component):
    """Block RAMs and multipliers, each with another kind of register behind it."""

    data: In(36)
    address: In(5)
    control: In(4)
    o: Out(36)

    def elaborate(self, platform):
        m = Module()
        _, hold, clear, _ = self.control
        words = [SEED * i & (1 << 18) - 1 for i in range(DEPTH)]
        parts = []
        for name in ("plain", "enabled", "cleared", "used_twice", "halves", "from_one"):
            m.submodules[name] = ram = memory.Memory(shape=18, depth=DEPTH, init=words)
            port = self._use(m, ram, self.data[18:])
            start = 1 if name == "from_one" else 0
            register = Signal(18, name=f"{name}_register", init=start, reset_less=True)
            parts.append(register)
            if name in ("plain", "from_one"):
                m.d.sync += register.eq(port.data)
            elif name == "used_twice":
                m.d.sync += register.eq(port.data)
                parts.append(port.data)
            elif name == "halves":
                for enable, half in ((~hold, slice(9)), (~clear, slice(9, 18))):
                    with m.If(enable):
                        m.d.sync += register[half].eq(port.data[half])
            else:
                with m.If(~hold):
                    m.d.sync += register.eq(port.data)
                if name == "cleared":
                    with m.If(clear):
                        m.d.sync += register.eq(0)
        a, b = Signal(signed(18)), Signal(signed(18))
        m.d.sync += Cat(a, b).eq(self.data)
        plain = Signal(signed(36), reset_less=True)
        enabled = Signal(signed(36), reset_less=True)
        m.d.sync += plain.eq(a * b)
        with m.If(~hold):
            m.d.sync += enabled.eq(a * (b ^ 1))
        found = plain ^ enabled
        for index, part in enumerate(parts):
            found = found ^ (part << 3 * index)
        for part in self._wide(m, hold, clear):
            found = found ^ part
        m.d.sync += self.o.eq(found)
        return m

    def _use(self, m, ram, data):
        """Read a memory and write it, never the same word at once; return the read port."""
        write, _, _, read = self.control
        port, out = ram.read_port(), ram.write_port()
        m.d.comb += [
            port.addr.eq(self.address),
            port.en.eq(read),
            out.addr.eq(self.data[:5]),
            out.data.eq(data),
            out.en.eq(write & (self.data[:5] != self.address)),
        ]
        return port

    def _wide(self, m, hold, clear):
        """Registers behind memories of 36 bits, whose halves have one enable, or two."""
        words = range(7, 7 * WIDE_DEPTH, 7)
        for name, enables in (("wide", (~hold, ~hold)), ("wide_halves", (~hold, ~clear))):
            m.submodules[name] = ram = memory.Memory(shape=36, depth=WIDE_DEPTH, init=words)
            port = self._use(m, ram, self.data)
            register = Signal(36, name=f"{name}_register", reset_less=True)
            for enable, half in zip(enables, (slice(18), slice(18, 36)), strict=True):
                with m.If(enable):
                    m.d.sync += register[half].eq(port.data[half])
            yield register


@pytest.fixture(scope="module")
def netlist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("registered")
    flat_netlist(emit_rtlil(Registered(), "registered"), "registered", folder)
    return folder / "netlist.json"


@pytest.fixture(scope="module")
def absorbed(netlist):
    path = netlist.with_name("absorbed.json")
    path.write_text(netlist.read_text())
    return path, absorb_in_file(path)


def test_registers_that_directly_follow_go_inside(netlist, absorbed):
    path, done = absorbed
    assert done["ports"] == {"DP16KD": 4, "MULT18X18D": 1}
    assert done["flip_flops"] == 2 * 18 + 36 + 36
    assert done["kept"] == {
        "DP16KD": {"reset": 1, "several loads": 1, "registers differ": 2, "halves differ": 2},
        "MULT18X18D": {"enable": 1},
    }
    before, after = (
        [
            cell["type"]
            for cell in json.loads(each.read_text())["modules"]["registered"]["cells"].values()
        ]
        for each in (netlist, path)
    )
    assert before.count("TRELLIS_FF") - after.count("TRELLIS_FF") == done["flip_flops"]


def test_a_second_pass_finds_nothing(absorbed, tmp_path):
    path, _ = absorbed
    again = tmp_path / "again.json"
    again.write_text(path.read_text())
    assert absorb_in_file(again)["ports"] == {}


@pytest.mark.sim
def test_values_are_the_same_in_every_cycle(netlist, absorbed, tmp_path):
    instances = []
    for name, path in (("apart", netlist), ("absorbed", absorbed[0])):
        RoutedNetlist(path).write_verilog(tmp_path / f"{name}.v")
        text = (tmp_path / f"{name}.v").read_text()
        (tmp_path / f"{name}.v").write_text(text.replace("module routed(", f"module {name}_net("))
        instances.append(
            f"{name}_net {name}_net(.clk(clk), .rst(rst), .data(data), .address(address),"
            f" .control(control), .o({name}));"
        )
    (tmp_path / "cells.v").write_text(instance_models())
    (tmp_path / "twins.v").write_text(
        "module twins(input clk, rst, input [35:0] data, input [4:0] address, input [3:0] control,"
        f" output [35:0] apart, absorbed);\n{chr(10).join(instances)}\nendmodule\n"
    )
    sources = [OWN, *(tmp_path / f"{name}.v" for name in ("cells", "apart", "absorbed", "twins"))]
    build(sources, "twins", arguments=LENIENT, optimize="-O0").run("tests.benches.twins")
