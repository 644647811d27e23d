"""Verilator's ``-Wall`` finds nothing in a generated engine but what generated.vlt waives."""

import subprocess

import pytest

from rtl.build.verilog import verilog_of
from rtl.config import TINY
from rtl.engine import Engine
from rtl.lib.emit import emit_rtlil
from sim.testbench import WAIVERS
from sim.toolchain.tools import find_verilator


def lint(tmp_path, verilog):
    """Status and messages. ``--cc`` schedules too, which is where loops are found."""
    (tmp_path / "design.v").write_text(verilog)
    command = [find_verilator().executable, "--cc", "-Wall", "--top-module", "dut"]
    result = subprocess.run(
        [*command, "--Mdir", tmp_path / "out", WAIVERS, tmp_path / "design.v"],
        capture_output=True,
        text=True,
    )
    return result.returncode, result.stdout + result.stderr


@pytest.mark.sim
def test_the_engine_is_clean(tmp_path):
    verilog = verilog_of(emit_rtlil(Engine(TINY), "dut"), assertions=False)
    status, messages = lint(tmp_path, verilog)
    assert status == 0, messages
    assert "%" not in messages


@pytest.mark.sim
@pytest.mark.parametrize(
    ("body", "warning"),
    [
        ("assign o = a;", "WIDTHTRUNC"),
        ("part part(.i(a), .o(o));", "WIDTHTRUNC"),
        ("assign o[1] = a[0];", "UNDRIVEN"),
        ("wire [1:0] b = ~b & a[1:0]; assign o = b;", "UNOPTFLAT"),
        ("always @(posedge clk) o <= a[1:0]; always @(posedge a[2]) o <= 0;", "MULTIDRIVEN"),
    ],
)
def test_a_mistake_is_found(tmp_path, body, warning):
    kind = "reg" if "always" in body else "wire"
    verilog = f"""
        module part(input [1:0] i, output [1:0] o); assign o = i; endmodule
        module dut(input clk, input [2:0] a, output {kind} [1:0] o); {body} endmodule
    """
    status, messages = lint(tmp_path, verilog)
    assert status
    assert warning in messages
