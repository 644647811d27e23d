"""A network on the engine alone, in a simulator that knows unknown values: none at a port.

For Icarus; in Verilator a signal is always 0 or 1. Memory is cocotbext-axi's, the job that of
tests/rtl/test_defined.py.
"""

import json
import os
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge, Timer
from cocotbext.axi import AxiBus, AxiRam

from sim.benches.host import Host

PREFIX = "s_axil_"


class RegisterPort:
    """The engine's own ports under the names that :class:`sim.benches.host.Host` uses."""

    def __init__(self, dut: Any):
        self.dut = dut

    def __getattr__(self, name: str) -> Any:
        if name.startswith(PREFIX):
            return getattr(self.dut, f"control__{name.removeprefix(PREFIX)}")
        return getattr(self.dut, name)


class PortWatch:
    """Looks at outputs in the middle of every cycle, and keeps the names of unknown ones.

    Parameters
    ----------
    dut
    names : list of str
        Outputs.
    """

    def __init__(self, dut: Any, names: list[str]):
        self.clock = dut.clk
        self.ports = {name: getattr(dut, name) for name in names}
        self.unknown: dict[str, int] = {}  # with the cycle
        self.cycles = 0

    async def run(self) -> None:
        """Watch until the simulation ends."""
        while True:
            await FallingEdge(self.clock)
            self.cycles += 1
            for name, port in self.ports.items():
                if not port.value.is_resolvable:
                    self.unknown.setdefault(name, self.cycles)


@cocotb.test()
async def defined_ports(dut: Any) -> None:
    """Classify an image; watch the ports from the end of the reset on."""
    path = Path(os.environ["PULSAR_JOB"])
    job = json.loads(path.read_text())
    content = Path(job["memory"]).read_bytes()
    for name in job["inputs"]:
        getattr(dut, name).value = 0
    dut.rst.value = 1
    await Timer(1, "ns")
    ram = AxiRam(AxiBus.from_prefix(dut, "memory_"), dut.clk, dut.rst, size=len(content))
    ram.write(0, content)
    host = Host(RegisterPort(dut))
    await host.power_on()
    watch = PortWatch(dut, job["outputs"])
    cocotb.start_soon(watch.run())
    for name, value in job["registers"].items():
        await host.write(name, value)
    await host.command("start")
    await host.wait_for_interrupt(job["limit_cycles"])
    result = {
        "status": sorted(await host.status()),
        "cycles": await host.read("cycles_first"),
        "watched": watch.cycles,
        "unknown": watch.unknown,
        "output": ram.read(*job["region"]).hex(),
    }
    await RisingEdge(dut.clk)
    path.with_name("result.json").write_text(json.dumps(result))
