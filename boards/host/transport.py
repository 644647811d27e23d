"""A transport: the five primitives by which the driver reaches an engine and its memory."""

from __future__ import annotations

import time
from abc import abstractmethod

from boards.host.closing import Closing


class Transport(Closing):
    """A way to an engine's registers and to the memory that it reads and writes.

    Members
    -------
    memory_bytes : int
        Size of the memory.
    base : int
        Address of its first byte, as the engine sees it.
    interrupts : bool
        Whether :meth:`wait` returns at the engine's interrupt.

    All five primitives raise ``DeviceError`` where the device is not there or does not answer.
    """

    POLL_S = 0.0002
    memory_bytes = 0
    base = 0
    interrupts = False

    @abstractmethod
    def read32(self, offset: int) -> int:
        """Read a register's word by one aligned access of 32 bits."""

    @abstractmethod
    def write32(self, offset: int, value: int) -> None:
        """Write a register's word by one aligned access of 32 bits; it has its effect in order."""

    @abstractmethod
    def put(self, offset: int, data: bytes) -> None:
        """Write memory; a start that follows sees it."""

    @abstractmethod
    def get(self, offset: int, count: int) -> bytes:
        """Read memory; what the engine wrote before its status said so is there."""

    def wait(self, limit_s: float) -> None:
        """Return when something may have happened, after ``limit_s`` at the latest."""
        time.sleep(min(self.POLL_S, limit_s))

    def now(self) -> float:
        """Seconds of the time in which the engine's own time-outs are meant."""
        return time.monotonic()

    def show(self, lights: int) -> None:
        """Light eight LEDs, where the board has them."""

    def difference(self, offset: int, data: bytes) -> int | None:
        """Offset of the first byte of memory that is not as in ``data``, about; None if equal."""
        found = self.get(offset, len(data))
        if found == data:
            return None
        pairs = enumerate(zip(found, data))
        return offset + next((i for i, (here, there) in pairs if here != there), len(found))
