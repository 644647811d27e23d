"""Module by module, Yosys counts the same as of the whole design, and nothing twice."""

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from nas.cost import module_cells
from nas.cost.kept import KeptResults
from nas.cost.module_cells import measure, module_key
from rtl.build.synthesis import synthesise
from rtl.lib.emit import emit_rtlil, once

DEVICE = "LFE5U-85F-6BG381C"


class Adder(wiring.Component):
    """A sum behind a register; repeats."""

    def __init__(self, bits):
        self.parameters = (bits,)
        super().__init__({"a": In(bits), "b": In(bits), "o": Out(bits)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.a + self.b)
        return m


class Sums(wiring.Component):
    """``adders`` sums, and in a module of its own their parity."""

    def __init__(self, adders):
        self.adders = adders
        super().__init__({"a": In(12), "o": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.parity = parity = Parity(self.adders)
        for n in range(self.adders):
            adder = Adder(12)
            m.submodules[f"adder_{n}"] = once(adder, platform)
            m.d.comb += [adder.a.eq(self.a), adder.b.eq(n), parity.i[n].eq(adder.o.xor())]
        m.d.comb += self.o.eq(parity.o)
        return m


class Parity(wiring.Component):
    def __init__(self, bits):
        super().__init__({"i": In(bits), "o": Out(1)})

    def elaborate(self, platform):
        m = Module()
        parity = Signal()
        m.d.sync += parity.eq(self.i.xor())
        m.d.comb += self.o.eq(parity)
        return m


@pytest.fixture
def synthesised(monkeypatch):
    """Names of the modules that Yosys gets, run by run."""
    runs = []

    def recorded(rtlil, top, device):
        synthesis = synthesise(rtlil, top, device)
        runs.append({name for name, module in synthesis.used.modules.items() if name != top})
        return synthesis

    monkeypatch.setattr(module_cells, "synthesise", recorded)
    return runs


def test_a_module_is_synthesised_once(synthesised, tmp_path):
    rtlil = {n: emit_rtlil(Sums(n), "top") for n in (3, 5)}
    whole = {n: synthesise(text, "top", DEVICE).used for n, text in rtlil.items()}
    known = KeptResults(tmp_path / "modules.txt")
    for n in (3, 5, 3):
        assert measure(rtlil[n], "top", DEVICE, known) == whole[n]
    assert synthesised[0] == {"top", "top.parity", "adder_12"}
    assert synthesised[1:] == [{"top", "top.parity", "adder_12"}]  # the adder as a stub

    again = measure(rtlil[5], "top", DEVICE, KeptResults(tmp_path / "modules.txt"))
    assert again == measure(rtlil[5], "top", DEVICE, known)
    assert len(synthesised) == 2


LEAF = "module \\leaf\nend\n"


def test_families_do_not_share_modules():
    assert module_key(LEAF, "xilinx") == module_key(LEAF, "xilinx") != module_key(LEAF, "ecp5")


def test_numbers_that_amaranth_gives_do_not_matter():
    text = "module \\leaf\n  wire \\a${}\n  wire \\b${}\nend\n"
    key = module_key(text.format(12, 15), "xilinx")
    assert module_key(text.format(7, 9), "xilinx") == key
    assert module_key(text.format(7, 7), "xilinx") != key


def test_names_of_enumerations_do_not_matter_and_other_attributes_do():
    text = "attribute \\{}\nmodule \\leaf\n  attribute \\{}\n  wire \\a\nend\n"
    key = module_key(text.format('generator "Amaranth"', 'enum_value_0 "IDLE"'), "xilinx")
    assert module_key(text.format('generator "newer"', 'enum_value_0 "WAIT"'), "xilinx") == key
    assert module_key(text.format('generator "newer"', "keep 1"), "xilinx") != key


def test_another_yosys_synthesises_again(monkeypatch):
    before = module_key(LEAF, "xilinx")
    monkeypatch.setattr(module_cells.importlib.metadata, "version", lambda package: "9.9")
    assert module_key(LEAF, "xilinx") != before
