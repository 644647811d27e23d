"""The file of a Zynq's top: Verilog-2001 that Verilator finds nothing in, ports with attributes."""

import re
import subprocess

import pytest

from rtl.build.verilog import verilog_of
from rtl.build.zynq import zynq_verilog
from rtl.config import TINY
from rtl.engine import Engine
from rtl.lib.emit import emit_rtlil
from sim.testbench import WAIVERS
from sim.toolchain.tools import find_verilator


@pytest.fixture(scope="module")
def top():
    return zynq_verilog(TINY, "tiny")


def test_every_port_but_no_other_wire_belongs_to_a_bus(top):
    assert re.findall(r"^module (\S+?)\(", top, re.M)[-1] == "tiny_top"
    lines = top.splitlines()
    ports = [n for n, line in enumerate(lines) if re.match(r"  (input|output) ", line)]
    assert len(ports) == 3 + 19 + 29
    assert all("X_INTERFACE_INFO" in lines[n - 1] for n in ports)
    assert top.count("X_INTERFACE_INFO") == len(ports)


def test_the_engine_is_a_file_of_its_own(top):
    assert re.findall(r"^module (\S+?)\(", top, re.M) == ["tiny_top"]
    assert re.search(r"^  tiny engine \(", top, re.M)


@pytest.mark.sim
def test_verilator_finds_nothing(top, tmp_path):
    """Verilog-2001, as a block design takes it: what it lints as that, it lints clean."""
    engine = verilog_of(emit_rtlil(Engine(TINY), "tiny"), assertions=False)
    (tmp_path / "tiny.v").write_text(engine)
    (tmp_path / "tiny_top.v").write_text(top)
    command = [find_verilator().executable, "--lint-only", "-Wall", "--language", "1364-2001"]
    command += ["-Wno-SYMRSVDWORD"]  # interrupt: a word to avoid in the C++ that Verilator writes
    files = [WAIVERS, tmp_path / "tiny.v", tmp_path / "tiny_top.v"]
    result = subprocess.run(
        [*command, "--top-module", "tiny_top", *files], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert "%" not in result.stderr
