"""PYNQ: bitstream, registers and memory through the library of that name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from boards.host.errors import DeviceError, UserError
from boards.host.layout import Layout
from boards.host.package import Package
from boards.host.registers import CONTROL_BITS, IDENTITY, REGISTERS, STATUS_BITS
from boards.host.transport import Transport

BLOCK = "engine"  # in the block design; overlays name it or, behind a slash, its bus
REGISTERS_AT = 0xA000_0000  # where there is no overlay to say it
REGISTERS_BYTES = 4096
LIMIT_S = 2.0


def open_transport(argument: str, package: Package) -> Transport:
    """Open ``pynq:BITFILE``, which is loaded unless it is already; ``pynq`` uses what is loaded."""
    return PynqTransport(argument, Layout.wanted(package))


class PynqTransport(Transport):
    """An engine in a PYNQ overlay, its memory from ``pynq.allocate``.

    Parameters
    ----------
    bitfile : str
        Bitstream with its .hwh file beside it, which says where the registers are; empty: what is
        loaded stays, with its registers at ``REGISTERS_AT``.
    memory_bytes : int
        Memory to allocate.
    reload : bool
        Load the bitstream even if it is already.
    """

    def __init__(self, bitfile: str, memory_bytes: int, *, reload: bool = False):
        try:
            import pynq
        except ImportError:
            raise UserError(
                "Python package 'pynq' not found: it comes with the board's PYNQ image"
            ) from None
        self._buffer: Any = None
        with _named():
            overlay = pynq.Overlay(bitfile, download=False) if bitfile else None
            address = (
                _registers_at(overlay.ip_dict, bitfile) if overlay is not None else REGISTERS_AT
            )
            self._registers = pynq.MMIO(address, REGISTERS_BYTES)
            if overlay is not None:
                if reload and overlay.is_loaded():
                    self._quiet()
                if reload or not overlay.is_loaded():
                    overlay.download()
            self._buffer = pynq.allocate(shape=(memory_bytes,), dtype=np.uint8)
        self.memory_bytes = memory_bytes
        self.base = int(self._buffer.device_address)

    def read32(self, offset: int) -> int:
        return int(self._registers.read(offset))

    def write32(self, offset: int, value: int) -> None:
        self._registers.write(offset, value)

    def put(self, offset: int, data: bytes) -> None:
        part = self._memory()[offset : offset + len(data)]
        part[:] = np.frombuffer(data, np.uint8)
        part.flush()

    def get(self, offset: int, count: int) -> bytes:
        part = self._memory()[offset : offset + count]
        part.invalidate()
        return part.tobytes()

    def close(self) -> None:
        if self._buffer is not None:
            self._buffer.freebuffer()
            self._buffer = None

    def _memory(self) -> Any:
        if self._buffer is None:
            raise DeviceError("the device was closed: open it again")
        return self._buffer

    def _quiet(self) -> None:
        """Let memory answer what an engine has asked for, before its bitstream is replaced."""
        if self.read32(REGISTERS["identity"][0]) != IDENTITY:
            return
        resetting = 1 << STATUS_BITS.index("resetting")
        self.write32(REGISTERS["control"][0], 1 << CONTROL_BITS.index("reset"))
        ends = self.now() + LIMIT_S
        while self.read32(REGISTERS["status"][0]) & resetting:
            if self.now() > ends:
                raise DeviceError(
                    f"register status is resetting {LIMIT_S:g} s after a reset: memory does not"
                    " answer, and a new bitstream would not help; switch the board off and on"
                )
            self.wait(LIMIT_S)


def _registers_at(blocks: dict[str, dict], bitfile: str) -> int:
    """Find the registers' address among the blocks of an overlay."""
    for name, block in blocks.items():
        if name.partition("/")[0] == BLOCK and "phys_addr" in block:
            return int(block["phys_addr"])
    raise DeviceError(
        f"{bitfile}: its .hwh file has no block {BLOCK!r} with registers, but"
        f" {', '.join(sorted(blocks)) or 'none'}: take the two files that rtl.build made"
    )


@contextmanager
def _named() -> Iterator[None]:
    """Turn what the library and the system say into one line."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise DeviceError(f"pynq: {str(error).partition(chr(10))[0]}") from None
