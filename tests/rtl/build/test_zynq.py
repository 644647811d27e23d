"""The file of a Zynq's top: Verilog-2001 that Verilator finds nothing in, ports with attributes."""

import re
import subprocess

import pytest

from rtl.board import load_board
from rtl.build.verilog import verilog_of
from rtl.build.zynq import memory_ports, zynq_verilog
from rtl.config import TINY, ZCU102
from rtl.engine import Engine
from rtl.errors import UserError
from rtl.lib.emit import emit_rtlil
from rtl.soc.pieces import MemoryPorts
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


def zcu102(**zynq):
    board = load_board("zcu102")
    return board.model_copy(update={"zynq": board.zynq.model_copy(update=zynq)})


def test_several_ports_of_a_board_get_an_interleaver():
    assert memory_ports(zcu102(ports=("HP0",)), ZCU102) is None
    assert memory_ports(load_board("sim"), TINY) is None
    ports = memory_ports(zcu102(ports=("HP0", "HP3")), ZCU102)
    assert ports == MemoryPorts(2, 32)  # 128 bits at twice the engine's clock
    top = zynq_verilog(ZCU102, "zcu102", ports)
    assert re.search(r"^  input \[255:0\] m_axi_memory_1_rdata;", top, re.M)
    assert "m_axi_memory_1_awaddr" not in top


def test_ports_wider_than_the_engine_s_are_refused():
    board = zcu102(ports=("HP0", "HP3"))
    with pytest.raises(UserError, match="ports of 32 bytes cannot carry beats of 16: these must"):
        memory_ports(board, TINY)
    board = zcu102(ports=("HP0", "HP3"), port_clock_hz=75_000_000)
    with pytest.raises(UserError, match="bytes must be 4, 8, 16, 32 or 64, not 0: take one port"):
        memory_ports(board, TINY)
    board = zcu102(ports=("HP0", "HP3")).model_copy(update={"clock_hz": 100_000_000})
    with pytest.raises(UserError) as error:
        memory_ports(board, ZCU102)
    assert str(error.value) == (
        "board 'zcu102', engine 'zcu102': HP0, HP3 of 128 bits at 300 MHz are 384 bits at the"
        " engine's 100 MHz: bytes must be 4, 8, 16, 32 or 64, not 48: take one port, or another"
        " port_bits or port_clock_hz"
    )


@pytest.mark.sim
@pytest.mark.parametrize("ports", [None, MemoryPorts(3, 16)], ids=["one port", "three ports"])
def test_verilator_finds_nothing(ports, tmp_path):
    """Verilog-2001, as a block design takes it: what it lints as that, it lints clean."""
    top = zynq_verilog(TINY, "tiny", ports)
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
