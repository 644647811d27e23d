"""The SystemVerilog around an engine, and when an engine is elaborated anew."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from rtl.config import TINY
from rtl.engine import Engine
from rtl.lib.emit import mark_used
from rtl.memory.ports import activation_write
from sim import testbench
from tests.rtl.sizes import SMALL


def not_elaborated(engine):
    """Return an engine whose ports alone are wanted, so that Amaranth does not miss the rest."""
    for part in (engine, *engine._memories.values()):
        mark_used(part)
    return engine


def signature(*, tap):
    return not_elaborated(Engine(SMALL, tap=tap)).signature


@pytest.fixture(scope="module")
def text():
    return testbench._testbench(signature(tap=True), SMALL)


def test_the_top_has_clock_interrupt_registers_and_settings(text):
    head = text[: text.index(");")]
    ports = set(re.findall(r"(\w+)(?:,|$)", head, re.M))
    assert {"clk", "rst", "irq", *testbench.SETTINGS} <= ports
    for name in ("awaddr", "awvalid", "wdata", "bresp", "araddr", "rdata", "rready"):
        assert f"s_axil_{name}" in ports


def test_every_port_of_the_engine_is_wired(text):
    [instance] = re.findall(r"engine engine\((.*)\);", text)
    pins = re.findall(r"\.(\w+)\((\w+)\)", instance)
    declared = set(re.findall(r"(?:logic|wire)(?: \[\d+:0\])? (\w+)", text))
    assert {wire for _, wire in pins} <= declared
    ports = {"__".join(path) for path, _, _ in testbench._ports(signature(tap=True))}
    assert {pin for pin, _ in pins} == ports | {"clk", "rst"}


def test_every_tap_has_a_sink_of_its_width(text):
    sinks = dict(re.findall(r'\.NAME\("(\w+)"\), \.BITS\((\d+)\)', text))
    channels = re.findall(r"\.CHANNEL\((\d+)\)", text)
    assert channels == [str(n) for n in range(len(sinks))]
    widths = {name: int(bits) for name, bits in sinks.items()}
    activations = {bits for name, bits in widths.items() if name.startswith("activations")}
    assert activations == {activation_write(SMALL).size}
    assert not re.search("tap_sink", testbench._testbench(signature(tap=False), SMALL))


def test_verilog_is_kept_by_engine_taps_and_code(monkeypatch, tmp_path):
    monkeypatch.setenv("PULSAR_CACHE", str(tmp_path / "a b"))
    emitted = []

    def emit(component, name, primitives, *, hostile):
        not_elaborated(component)
        emitted.append(name)
        return f"module {name}; endmodule"

    monkeypatch.setattr(testbench, "emit_verilog", emit)
    first = testbench.generate(SMALL)
    assert testbench.generate(SMALL) == first and len(emitted) == 1
    assert testbench.generate(SMALL, tap=False) != first
    assert testbench.generate(replace(SMALL, score_slots=3)) != first
    assert len(emitted) == 3
    hostile = testbench.generate(SMALL, hostile=True)
    assert hostile != first
    monkeypatch.setenv("PULSAR_HOSTILE", "1")
    assert testbench.generate(SMALL) == hostile and len(emitted) == 4
    monkeypatch.delenv("PULSAR_HOSTILE")
    monkeypatch.setattr(testbench, "SOFTWARE", {*testbench.SOFTWARE, "arith"})
    assert testbench.generate(SMALL) != first  # other code, another place


def test_only_engines_with_a_name_are_built_in_another_process(monkeypatch):
    started = []

    def thread(**call):
        started.append(call)
        return SimpleNamespace(start=lambda: None)

    monkeypatch.setattr(testbench.threading, "Thread", thread)
    testbench.build_meanwhile(replace(TINY, score_slots=3))
    assert not started
    testbench.build_meanwhile(TINY)
    [call] = started
    assert call["args"][0][-3:] == ["sim.testbench", "--engine", "tiny"]
