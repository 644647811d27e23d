"""Control unit, DMA, load and store together in Verilator, against cocotbext-axi."""

from dataclasses import replace

import pytest

from rtl.config import TINY
from rtl.emit import emit_verilog
from sim import toolchain
from sim.benches.shell_design import Shell

SHELL_WARNINGS = ("-Wno-fatal",)


@pytest.mark.sim
def test_shell(tmp_path):
    source = tmp_path / "shell.v"
    source.write_text(emit_verilog(Shell(replace(TINY)), "shell"))
    build = toolchain.build([source], top="shell", arguments=SHELL_WARNINGS)
    results = build.run("sim.benches.shell")
    assert all(result.passed for result in results.tests)
