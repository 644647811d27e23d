"""Ends of a driver, and how to break each: the RTL over AXI, a UIO device, a serial cable."""

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

from boards.host import uio
from boards.host.accelerator import Accelerator
from boards.host.registers import REGISTERS
from boards.host.serial import SerialTransport
from boards.host.transport import Transport
from rtl.config import TINY
from rtl.isa.faults import FaultCode
from sim.device import NOWHERE, SimulatedTransport, open_transport
from sim.remote import RemoteSimulation
from tests.boards.host.bridge import BridgeModel, VirtualLine
from tests.boards.host.engine_model import EngineModel
from tests.boards.host.networks import small
from tests.boards.host.test_uio import Incoherent, files

CONTROL = REGISTERS["control"][0]
Access = tuple[str, int]  # "read" or "write", byte offset
PLENTY = 16 * 256


class End(ABC):
    """A device, whose accesses to registers are written down where they arrive.

    Attributes
    ----------
    log : list of Access
        An access is of 32 bits: whatever carries it takes no other.
    limit_s : float
        For the driver; in the device's own time.
    """

    limit_s = 2.0
    log: list[Access]

    @abstractmethod
    def open(self) -> Transport:
        """Open the device, as after a failure as well."""

    @abstractmethod
    def fail_reads(self, yes: bool) -> None:
        """Let memory answer with an error."""

    @abstractmethod
    def stand_still(self, yes: bool) -> None:
        """Let nothing answer, or nothing go on."""

    @abstractmethod
    def unplug(self, yes: bool) -> None:
        """Take the device away."""


class AxiEnd(End):
    """The RTL in Verilator."""

    def __init__(self, folder: Path, monkeypatch):
        self.log = []
        original = RemoteSimulation.call

        def call(transport, name, *arguments):
            if name in ("read", "write"):
                self.log.append((name, arguments[0]))
            return original(transport, name, *arguments)

        monkeypatch.setattr(RemoteSimulation, "call", call)

    def open(self) -> Transport:
        self.transport = open_transport("", small().package)
        assert isinstance(self.transport, SimulatedTransport)
        return self.transport

    def fail_reads(self, yes):
        self.transport.setting("error_address", 64 if yes else NOWHERE)

    def stand_still(self, yes):
        self.transport.setting("bytes_per_cycle", 0 if yes else PLENTY)

    def unplug(self, yes):
        if yes:
            self.transport.close()


class UioEnd(End):
    """A fake UIO device with a file-backed buffer, the executable instruction set behind it."""

    limit_s = 0.05

    def __init__(self, folder: Path, monkeypatch):
        self.root, self.log, self.patch = files(folder), [], monkeypatch

    def open(self) -> Transport:
        self.transport = Incoherent(root=self.root)
        self.model = EngineModel(TINY, np.zeros_like(self.transport.memory), self.transport.base)
        self.transport.attach(self.model)
        self.transport.words.log = self.log
        return self.transport

    def fail_reads(self, yes):
        self.model.fault = FaultCode.READ if yes else None

    def stand_still(self, yes):
        self.model.hangs = yes

    def unplug(self, yes):
        def gone(*_):
            raise OSError(19, "No such device", "/dev/uio3")

        if yes:
            self.patch.setattr(uio.Path, "write_text", gone)
        else:
            self.patch.undo()


class Logged(EngineModel):
    """An engine that writes down who reads and writes its registers."""

    log: list[Access]

    def read32(self, offset: int) -> int:
        self.log.append(("read", offset))
        return super().read32(offset)

    def write32(self, offset: int, value: int) -> None:
        self.log.append(("write", offset))
        super().write32(offset, value)


class SerialEnd(End):
    """A byte-level bridge on a line with a time of its own."""

    def __init__(self, folder: Path, monkeypatch):
        memory = np.zeros(1 << 18, np.uint8)
        self.model = Logged(TINY, memory)
        self.log = self.model.log = []
        self.line = VirtualLine(BridgeModel(self.model, memory))

    def open(self) -> Transport:
        return SerialTransport(self.line)

    def fail_reads(self, yes):
        self.model.fault = FaultCode.READ if yes else None

    def stand_still(self, yes):
        self.line.to_bridge = (lambda byte: ()) if yes else (lambda byte: (byte,))

    def unplug(self, yes):
        self.line.plugged = not yes


def driver(end: End) -> Accelerator:
    """Open a device and load the network."""
    engine = Accelerator(end.open(), limit_s=end.limit_s, watchdog_cycles=20_000)
    engine.load(small().package)
    return engine
