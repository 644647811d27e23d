"""Everything AXI in Verilator, against cocotbext-axi: tests/benches/dma.py and shell.py.

The test of axi, clients, reader, writer and dma: one block, whose parts mean something to each
other alone. Bursts have tests of their own.
"""

from dataclasses import replace

import pytest

from rtl.build.verilog import emit_verilog
from rtl.config import TINY
from rtl.memory.dma import Dma
from sim.toolchain import builder
from tests.benches.shell_design import Shell

WARNINGS = ("-Wno-fatal", "-Wno-lint", "-Wno-style")  # about generated Verilog
DESIGNS = {"dma": Dma, "shell": Shell}


@pytest.mark.sim
@pytest.mark.parametrize("memory_bytes", [16, 64])
@pytest.mark.parametrize("name", DESIGNS)
def test_bench(name, memory_bytes, tmp_path):
    design = DESIGNS[name](replace(TINY, memory_bytes=memory_bytes))
    source = tmp_path / f"{name}.v"
    source.write_text(emit_verilog(design, name))
    build = builder.build([source], top=name, arguments=WARNINGS)
    build.run(f"tests.benches.{name}", env={"MEMORY_BYTES": str(memory_bytes)})
