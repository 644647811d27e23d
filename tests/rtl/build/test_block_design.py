"""The block design: its settings, and run in Tcl on a model of Vivado that refuses mistakes."""

import re
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from rtl.board import Board, board_names, load_board
from rtl.build.block_design import (
    block_design,
    engine_port_bits,
    known_properties,
    ps_properties,
)
from rtl.build.vivado import PRODUCTS, run_script
from rtl.build.zynq import memory_ports, zynq_verilog
from rtl.config import ENGINES, EngineConfig
from rtl.errors import ToolError, UserError
from rtl.soc.pieces import MemoryPorts

STUBS = Path(__file__).with_name("vivado_stubs.tcl")
DESIGN = "pulsar_tiny"
ZYNQ = [board for board in map(load_board, board_names()) if board.zynq]
REPORTS = ("utilization", "hierarchy", "timing", "power", "route")


def with_table(**changes) -> Board:
    """Return the ZCU102 with another table."""
    board = load_board("zcu102")
    return board.model_copy(update={"zynq": board.require_zynq().model_copy(update=changes)})


def engine_of(bits: int) -> EngineConfig:
    return replace(ENGINES["tiny"], memory_bytes=bits // 8)


# --- the text ------------------------------------------------------------------------------------


@pytest.mark.parametrize("board", ZYNQ, ids=lambda board: board.name)
def test_every_property_is_in_the_list(board):
    assert set(ps_properties(board)) <= set(known_properties())


def test_every_property_of_the_list_has_a_source():
    text = (STUBS.parents[3] / "boards" / "templates" / "ps_properties.toml").read_text()
    sources = set(re.findall(r"^#   (\w+) +github\.com/", text, re.M))
    assert sources and {known["source"] for known in known_properties().values()} == sources
    assert all(known["does"] for known in known_properties().values())


def test_the_list_has_nothing_that_no_board_sets():
    ports = [("HP0", "HP1", "HP3"), ("HP2",)]
    used = {name for each in ports for name in ps_properties(with_table(ports=each))}
    assert set(known_properties()) == used


def test_properties_follow_from_the_table():
    found = ps_properties(with_table(ports=("HP1", "HP3"), port_bits=64, port_clock_hz=None))
    assert {name: found[name] for name in found if "S_AXI" in name or "SAXI" in name} == {
        "PSU__USE__S_AXI_GP2": "0",
        "PSU__USE__S_AXI_GP3": "1",
        "PSU__SAXIGP3__DATA_WIDTH": "64",
        "PSU__USE__S_AXI_GP4": "0",
        "PSU__USE__S_AXI_GP5": "1",
        "PSU__SAXIGP5__DATA_WIDTH": "64",
    }
    assert found["PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ"] == "150"
    assert found["PSU__FPGA_PL1_ENABLE"] == "0"
    assert "PSU__CRL_APB__PL1_REF_CTRL__FREQMHZ" not in found


@pytest.mark.parametrize(
    ("changes", "bits"),
    [
        ({"ports": ("HP0",)}, 512),  # one port has all that the engine asks for
        ({"ports": ("HP0", "HP1")}, 256),  # 128 bits at twice the engine's clock
        ({"ports": ("HP0", "HP1", "HP3"), "port_clock_hz": None}, 128),
    ],
)
def test_widths_of_the_engines_ports(changes, bits):
    assert engine_port_bits(with_table(**changes), engine_of(512)) == bits


def test_a_board_without_the_table():
    with pytest.raises(UserError, match=r"board 'sim' has no table \[zynq\]"):
        block_design(load_board("sim"), ENGINES["tiny"], DESIGN)


def test_it_says_that_nobody_ran_it():
    text = block_design(load_board("zcu102"), ENGINES["tiny"], DESIGN)
    assert "# Not run by us." in text
    assert "phys_opt" in text.lower() and "-keep_equivalent" not in text


# --- run in Tcl ----------------------------------------------------------------------------------


@cache
def top_of(engine: EngineConfig, ports: MemoryPorts | None) -> str:
    return zynq_verilog(engine, DESIGN, ports)


def prepared(folder: Path, board: Board, engine: EngineConfig) -> Path:
    """Write what ``rtl.build`` writes; the engine's own Verilog is not looked into."""
    (folder / f"{DESIGN}.v").touch()
    (folder / f"{DESIGN}_top.v").write_text(top_of(engine, memory_ports(board, engine)))
    (folder / "properties").write_text("\n".join(known_properties()))
    script = folder / f"{DESIGN}_board.tcl"
    script.write_text(block_design(board, engine, DESIGN))
    return script


def run(script: Path, *faults: str) -> subprocess.CompletedProcess:
    """Run a script on the model; faults are those of its head."""
    return subprocess.run(
        ["tclsh", STUBS, script.with_name("properties"), script, *faults],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def script(tmp_path) -> Path:
    return prepared(tmp_path, with_table(ports=("HP0",)), engine_of(512))


def did(ended: subprocess.CompletedProcess, what: str) -> list[str]:
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout + ended.stderr
    return re.findall(rf"^did: {what} (.*)$", ended.stdout, re.M)


@pytest.mark.zynq
@pytest.mark.parametrize("board", ZYNQ, ids=lambda board: board.name)
def test_it_runs_to_its_end(board, tmp_path):
    script = prepared(tmp_path, board, ENGINES[board.engine.lower()])
    ended = run(script)
    zynq = board.require_zynq()
    assert did(ended, "address") == [
        f"ps/Data engine/s_axi_control/* 0x{zynq.control_address:X} {zynq.control_bytes}"
    ]
    assert "engine/interrupt ps/pl_ps_irq0" in did(ended, "net")
    assert did(ended, "board_part") == [f"{zynq.board_part}:*"]
    wanted = [f"{DESIGN}.{suffix}" for suffix in PRODUCTS]
    wanted += [f"{DESIGN}_board_{name}.rpt" for name in REPORTS]
    assert [name for name in wanted if not (tmp_path / name).is_file()] == []


@pytest.mark.zynq
def test_a_wide_engine_lies_behind_a_converter(script):
    """Its clock is the engine's on one side and the port's on the other."""
    ended = run(script)
    assert did(ended, "bus")[2:] == [
        "engine/m_axi_memory memory_0/S00_AXI",
        "memory_0/M00_AXI ps/S_AXI_HP0_FPD",
    ]
    nets = did(ended, "net")
    assert "ps/pl_clk0 memory_0/aclk" in nets
    assert {"ps/pl_clk1 memory_0/aclk1", "ps/pl_clk1 ps/saxihp0_fpd_aclk"} <= set(nets)


@pytest.mark.zynq
def test_an_engine_as_wide_as_the_port_is_wired_to_it(tmp_path):
    ended = run(prepared(tmp_path, with_table(ports=("HP0",), port_clock_hz=None), engine_of(128)))
    assert did(ended, "bus")[2:] == ["engine/m_axi_memory ps/S_AXI_HP0_FPD"]
    assert not [net for net in did(ended, "net") if "pl_clk1" in net]


@pytest.mark.zynq
def test_several_ports(tmp_path):
    """Each of the engine's has a converter and a port of its own."""
    script = prepared(tmp_path, with_table(ports=("HP0", "HP1", "HP3")), engine_of(512))
    ended = run(script)
    assert did(ended, "bus")[2:] == [
        text
        for n, port in enumerate(("HP0", "HP1", "HP3"))
        for text in (
            f"engine/m_axi_memory_{n} memory_{n}/S00_AXI",
            f"memory_{n}/M00_AXI ps/S_AXI_{port}_FPD",
        )
    ]
    clocks = [net for net in did(ended, "net") if net.startswith("ps/pl_clk1 ")]
    assert len(clocks) == 6  # a port and a converter, three times


@pytest.mark.zynq
def test_critical_warnings_that_are_accepted(tmp_path):
    ids = ("Board 49-71", "PSU-1", "xilinx.com:ip:smartconnect:1.0-1")
    ended = run(prepared(tmp_path, with_table(accepted=ids), engine_of(512)))
    assert [name.strip("{}") for name in did(ended, "message")] == list(ids)


@pytest.mark.zynq
@pytest.mark.parametrize("name", ["a[1]", "a{b", "a b", "a$b", "a*"])
def test_folders_with_any_name(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    ended = run(prepared(folder, with_table(ports=("HP0",)), engine_of(512)))
    assert did(ended, "message") == []
    assert (folder / f"{DESIGN}.hwh").is_file()


@pytest.mark.zynq
def test_clocks_that_the_processors_give_are_said(script):
    ended = run(script, "CLOCK=142.86")
    assert "Clock PL0: 150 MHz asked for, 142.86 MHz given\n" in ended.stdout
    assert "Clock PL1: 300 MHz asked for, 142.86 MHz given\n" in ended.stdout


@pytest.mark.zynq
@pytest.mark.parametrize("port", ["HP1", "HP2", "HP3"])
def test_other_ports(tmp_path, port):
    ended = run(prepared(tmp_path, with_table(ports=(port,)), engine_of(512)))
    assert did(ended, "bus")[-1] == f"memory_0/M00_AXI ps/S_AXI_{port}_FPD"


@pytest.mark.zynq
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("SLACK=-0.012", "the clock is missed: slack -0.012 ns (max): see pulsar_tiny_board_tim"),
        ("ROUTED=0", "there are nets that are not routed: see pulsar_tiny_board_route.rpt"),
        ("WIDTH=64", "ps/S_AXI_HP0_FPD is 64 bits wide, not 128: memory would return garbage"),
        ("PROGRESS=50%", "synth_1: stopped"),
        ("LOG=ERROR: [Synth 8-439] x", "synth_1: ERROR: [Synth 8-439] x"),
        (
            "LOG=CRITICAL WARNING: [A 1] x",
            "synth_1: CRITICAL WARNING: [A 1] x; if harmless, add id",
        ),
        ("CRITICAL=1", "block design: critical warnings above, 1 of them; if harmless, add ids"),
        ("PARTS=", "Vivado has no board files of xilinx.com:zcu102: add them in Tools, Vivado"),
    ],
)
def test_it_stops(script, fault, message):
    """It says why in a line, and leaves no bitstream, not even an older one."""
    bitstream = script.with_name(f"{DESIGN}.bit")
    bitstream.touch()
    ended = run(script, fault)
    assert ended.returncode == 1
    last = ended.stdout.splitlines()[-1]
    assert last.startswith(f"ERROR: [pulsar] {message}")
    assert not bitstream.exists()


@pytest.mark.zynq
@pytest.mark.parametrize(
    ("old", "new", "refusal"),
    [
        ("save_bd_design", "save_bd_desing", "unknown command: save_bd_desing"),
        ("PSU__USE__IRQ0", "PSU__USE__IRQ9", "property PSU__USE__IRQ9 is not in the list"),
        ("SAXIGP2__DATA_WIDTH {128}", "SAXIGP2__DATA_WIDTH {64}", "bits wide, not 128"),
        (
            "[get_bd_pins $port_clock] [get_bd_pins $memory/aclk1]",
            "[get_bd_pins ps/pl_clk0] [get_bd_pins $memory/aclk1]",
            "have no clock in common",
        ),
        ("reset/ext_reset_in", "reset/aux", "no reset/aux among"),
        ("set port_bits {128}", "", 'can\'t read "port_bits": no such variable'),
        (
            "connect_bd_net [get_bd_pins reset/peripheral_aresetn] [get_bd_pins engine/aresetn]",
            "",
            "engine/aresetn is not connected",
        ),
        ("open_run impl_1", "", "get_cells before open"),
        ("-to_step write_bitstream", "-to_step write_bitsream", "write_hw_platform before write_b"),
    ],
)
def test_the_model_refuses_mistakes(script, old, new, refusal):
    """Else the tests above would prove nothing."""
    text = script.read_text()
    assert old in text
    script.write_text(text.replace(old, new))
    ended = run(script)
    assert ended.returncode != 0
    assert refusal in ended.stdout + ended.stderr


@pytest.mark.zynq
def test_the_command_runs_it(script, tmp_path):
    """By a program in Vivado's place, which runs the script on the model and writes its log."""
    program = tmp_path / "vivado"
    program.write_text(f"#!/bin/sh\ntclsh {STUBS} properties $7 > $5 2>&1\n")
    program.chmod(0o755)
    run_script(program, script)
    assert script.with_suffix(".log").is_file()
    assert script.with_name(f"{DESIGN}.xsa").is_file()
    program.write_text(f"#!/bin/sh\ntclsh {STUBS} properties $7 ROUTED=0 > $5 2>&1\n")
    with pytest.raises(ToolError, match=r"^Vivado: ERROR: \[pulsar\] there are nets that are not"):
        run_script(program, script)
