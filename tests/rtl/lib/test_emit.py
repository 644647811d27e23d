"""RTLIL: a block that repeats is one module; the private parts of Amaranth are of one version.

Its Verilog, and that it behaves the same: tests/rtl/build/test_verilog.py.
"""

import importlib
import importlib.metadata
import re

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.lib import emit
from rtl.lib.devices import Primitives
from rtl.lib.emit import emit_rtlil, once, primitives


class Step(wiring.Component):
    def __init__(self, bits):
        self.parameters = (bits,)
        super().__init__({"i": In(bits), "o": Out(bits)})

    def elaborate(self, platform):
        m = Module()
        step = 2 if primitives(platform) is Primitives.ULTRASCALE else 1
        m.d.sync += self.o.eq(self.i + step)
        return m


class Steps(wiring.Component):
    i: In(8)
    o: Out(8).array(3)

    def elaborate(self, platform):
        m = Module()
        for index, bits in enumerate((8, 8, 4)):
            step = Step(bits)
            m.submodules[f"step_{index}"] = once(step, platform)
            m.d.comb += [step.i.eq(self.i), self.o[index].eq(step.o)]
        return m


def test_equal_parameters_share_a_module():
    text = emit_rtlil(Steps(), "steps")
    assert re.findall(r"^module \\(\S+)", text, re.M) == ["step_8", "step_4", "steps"]
    assert re.findall(r"cell \\(step_\d) \\step_\d", text) == ["step_8", "step_8", "step_4"]
    assert text.count("attribute \\top 1") == 1


def test_the_same_component_gives_the_same_text():
    assert emit_rtlil(Steps(), "steps") == emit_rtlil(Steps(), "steps")


def test_components_are_told_the_device_s_primitives():
    plain, ultrascale = (emit_rtlil(Step(8), "step", p) for p in (None, Primitives.ULTRASCALE))
    assert "4'0010" not in plain and plain != ultrascale


def test_another_amaranth_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.6.0")
    with pytest.raises(ImportError, match=r"amaranth 0\.5\.10 .*found 0\.6\.0: install 0\.5\.10"):
        importlib.reload(emit)
