"""A network on the engine alone, in a simulator that knows unknown values: none at a port.

For Icarus; in Verilator a signal is always 0 or 1. Memory is cocotbext-axi's, the job that of
tests/sim/test_icarus.py.
"""

import json
import os
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, Timer
from cocotbext.axi import AxiBus, AxiRam

from sim.benches.host import Host

PREFIX = "s_axil_"


class RegisterPort:
    """The engine's own ports, under the names by which the host's bench knows them."""

    def __init__(self, dut: Any):
        self.dut = dut

    def __getattr__(self, name: str) -> Any:
        if name.startswith(PREFIX):
            return getattr(self.dut, f"control__{name.removeprefix(PREFIX)}")
        return getattr(self.dut, name)


class PortWatch:
    """Watches outputs in the middle of every cycle.

    Attributes
    ----------
    unknown : dict of str to int
        Outputs that had an unknown value, X or Z, and the cycle of the first one.
    cycles : int
        Cycles that were watched.
    """

    def __init__(self, dut: Any, names: list[str]):
        self.clock = dut.clk
        self.ports = {name: getattr(dut, name) for name in names}
        self.unknown: dict[str, int] = {}
        self.cycles = 0

    async def run(self) -> None:
        """Watch until the simulation ends."""
        while True:
            await FallingEdge(self.clock)
            self.cycles += 1
            for name, port in self.ports.items():
                if not port.value.is_resolvable:
                    self.unknown.setdefault(name, self.cycles)


def unknown_inside(dut: Any) -> int:
    """Count the engine's own wires that have an unknown value, such as memories' outputs."""
    values = (getattr(part, "value", 0) for part in dut)
    return sum(not getattr(value, "is_resolvable", True) for value in values)


@cocotb.test()
async def defined_ports(dut: Any) -> None:
    """Classify an image; watch the ports from the end of the reset on."""
    path = Path(os.environ["PULSAR_JOB"])
    job = json.loads(path.read_text())
    content = Path(job["memory"]).read_bytes()
    dut.rst.value = 1
    for name in job["inputs"]:
        getattr(dut, name).value = 0
    await Timer(1, "ns")  # the memory takes a wire without a value for an error
    ram = AxiRam(AxiBus.from_prefix(dut, "memory_"), dut.clk, dut.rst, size=len(content))
    ram.write(0, content)
    host = Host(RegisterPort(dut))
    await host.power_on()
    inside = unknown_inside(dut)
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
        "inside": inside,
        "output": ram.read(*job["output"]).hex(),
    }
    path.with_name("result.json").write_text(json.dumps(result))
