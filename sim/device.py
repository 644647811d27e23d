"""The simulated device: the engine's RTL in Verilator, as a transport of the host driver.

The driver calls and waits for the answer, as it does with a board; the simulation runs in a
process of its own (sim/benches/device.py), and stands still between calls. The engine's memory is
a file that both map.
"""

import json
import mmap
import socket
import tempfile
import threading
from dataclasses import fields
from pathlib import Path

from boards.host.layout import Layout
from boards.host.package import BoardFacts, Package
from boards.host.transport import Transport
from rtl.config import EngineConfig
from rtl.errors import DeviceError, UserError
from sim import testbench
from sim.toolchain.simulation import SimulationError

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

    Raises
    ------
    ToolError
        If the engine cannot be built.
    """

    interrupts = True

    def __init__(self, engine: EngineConfig, board: BoardFacts, memory_bytes: int):
        self.memory_bytes = memory_bytes
        self._clock_hz = board.clock_hz
        self._cycle = 0
        self._ended: SimulationError | None = None
        build = testbench.build(engine)  # with taps, as sim.run has it: one build for both
        self._folder = tempfile.TemporaryDirectory(prefix="pulsar-device-")
        folder = Path(self._folder.name)
        memory = folder / "memory.bin"
        with memory.open("wb") as file:
            file.truncate(memory_bytes)
        with memory.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), memory_bytes)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / "socket"))
        self._listener.listen(1)
        job = {
            "socket": str(folder / "socket"),
            "memory": {
                "latency": board.latency_cycles,
                "bytes_per_cycle": round(board.bytes_per_cycle * 256),
                "stall": 0,
                "seed": 1,
                "error_address": NOWHERE,
                "tap_enable": 0,
            },
        }
        (folder / "job.json").write_text(json.dumps(job))

        def simulate() -> None:
            try:
                build.run(
                    "sim.benches.device",
                    env={"PULSAR_JOB": str(folder / "job.json")},
                    plusargs=[f"+memory={memory}", f"+memory_bytes={memory_bytes}"],
                    directory=folder,
                )
            except SimulationError as error:
                self._ended = error
            finally:
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes whoever waits for a connection

        self._simulation = threading.Thread(target=simulate, daemon=True)
        self._simulation.start()
        try:
            self._connection = self._listener.accept()[0]
        except OSError:
            raise self._gone() from None
        self._lines = self._connection.makefile("rw", encoding="ascii")

    def read32(self, offset: int) -> int:
        return self._call("read", offset)

    def write32(self, offset: int, value: int) -> None:
        self._call("write", offset, value)

    def put(self, offset: int, data: bytes) -> None:
        self._memory[offset : offset + len(data)] = data

    def get(self, offset: int, count: int) -> bytes:
        return self._memory[offset : offset + count]

    def wait(self, limit_s: float) -> None:
        self._call("wait", min(WAIT_CYCLES, max(1, round(limit_s * self._clock_hz))))

    def now(self) -> float:
        """Seconds on the engine's clock."""
        return self._cycle / self._clock_hz

    def setting(self, name: str, value: int) -> None:
        """Change a setting of the memory (sim/hardware/memory.sv)."""
        self._call("setting", name, value)

    def close(self) -> None:
        if self._simulation.is_alive():
            self._connection.shutdown(socket.SHUT_RDWR)
        self._simulation.join()
        self._lines.close()
        self._connection.close()
        self._listener.close()
        if not self._memory.closed:
            self._memory.close()
            self._folder.cleanup()

    def _call(self, *command: str | int) -> int:
        try:
            self._lines.write(json.dumps(command) + "\n")
            self._lines.flush()
            line = self._lines.readline()
        except (OSError, ValueError):
            line = ""
        if not line:
            raise self._gone()
        value, self._cycle = json.loads(line)
        return value

    def _gone(self) -> Exception:
        self._simulation.join()
        return self._ended or DeviceError("the simulation was closed: open it again")
