"""The simulated device: the engine's RTL in Verilator, as a transport of the host driver.

The driver calls and waits for the answer, as it does with a board; the simulation runs in a
process of its own (sim/benches/device.py), and stands still between calls. The engine's memory is
a file that both map.
"""

import mmap
import tempfile
from dataclasses import fields
from pathlib import Path

from boards.host.layout import Layout
from boards.host.package import BoardFacts, Package
from boards.host.transport import Transport
from rtl.config import EngineConfig
from rtl.errors import UserError
from sim import testbench
from sim.remote import RemoteSimulation
from sim.toolchain.simulation import Build

WAIT_CYCLES = 1_000_000  # in one call; the driver asks again
NOWHERE = (1 << 40) - 1  # an address that nobody reads: no error from memory


def open_transport(argument: str, package: Package) -> Transport:
    """Open ``sim``: the engine and the board's memory that the package is for.

    The engine is built at first (about two minutes), then found in the cache.
    """
    if argument:
        raise UserError(f"sim:{argument}: sim takes nothing, the package names engine and board")
    names = {field.name for field in fields(EngineConfig)}
    engine = EngineConfig(**{k: v for k, v in package.engine.items() if k in names})
    if engine.hash != package.engine_hash:
        raise UserError(
            f"{package.model} is packaged for engine {package.engine['hash']} of another version:"
            " package it again"
        )
    return SimulatedTransport(engine, package.board, Layout.wanted(package))


class SimulatedTransport(Transport):
    """An engine in Verilator, with a memory of the board's latency and bandwidth.

    Parameters
    ----------
    engine : EngineConfig
    board : BoardFacts
    memory_bytes : int
    build : Build, optional
        A system with the engine in it (:mod:`sim.tops`); by default the engine alone.

    Raises
    ------
    ToolError
        If the engine cannot be built.
    """

    interrupts = True

    def __init__(
        self,
        engine: EngineConfig,
        board: BoardFacts,
        memory_bytes: int,
        build: Build | None = None,
    ):
        self.memory_bytes = memory_bytes
        self._clock_hz = board.clock_hz
        build = build or testbench.build(engine)  # with taps, as sim.run has it: one build for both
        self._folder = tempfile.TemporaryDirectory(prefix="pulsar-device-")
        folder = Path(self._folder.name)
        memory = folder / "memory.bin"
        with memory.open("wb") as file:
            file.truncate(memory_bytes)
        with memory.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), memory_bytes)
        settings = {
            "latency": board.latency_cycles,
            "bytes_per_cycle": round(board.bytes_per_cycle * 256),
            "stall": 0,
            "seed": 1,
            "error_address": NOWHERE,
            "tap_enable": 0,
        }
        self._remote = RemoteSimulation(
            build,
            "sim.benches.device",
            {"memory": settings},
            plusargs=[f"+memory={memory}", f"+memory_bytes={memory_bytes}"],
            folder=folder,
        )

    def read32(self, offset: int) -> int:
        return self._remote.call("read", offset)

    def write32(self, offset: int, value: int) -> None:
        self._remote.call("write", offset, value)

    def put(self, offset: int, data: bytes) -> None:
        self._memory[offset : offset + len(data)] = data

    def get(self, offset: int, count: int) -> bytes:
        return self._memory[offset : offset + count]

    def wait(self, limit_s: float) -> None:
        self._remote.call("wait", min(WAIT_CYCLES, max(1, round(limit_s * self._clock_hz))))

    def now(self) -> float:
        """Seconds on the engine's clock."""
        return self._remote.time / self._clock_hz

    def setting(self, name: str, value: int) -> None:
        """Change a setting of the memory (sim/hardware/memory.sv)."""
        self._remote.call("setting", name, value)

    def close(self) -> None:
        self._remote.close()
        if not self._memory.closed:
            self._memory.close()
            self._folder.cleanup()
