"""UIO and u-dma-buf: registers and memory from user space, on any Linux of a board.

The kernel's UIO driver maps the registers and passes the interrupt on. Mainline Linux gives user
space no physical address, and a dma-buf alone has none: the module u-dma-buf
(https://github.com/ikwzm/udmabuf) allocates memory and says where it is.
"""

from __future__ import annotations

import mmap
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from boards.host.errors import DeviceError
from boards.host.package import Package
from boards.host.transport import Transport

NAME = "pulsar"  # of the device in the device tree
WORD_BYTES = 4
TO_DEVICE, FROM_DEVICE = 1, 2  # u-dma-buf's sync_direction


def open_transport(argument: str, package: Package) -> Transport:
    """Open ``uio`` or ``uio:NAME``; memory is u-dma-buf's ``udmabuf-NAME``, or its first one."""
    return UioTransport(argument or NAME)


class UioTransport(Transport):
    """An engine behind a UIO device, its memory a u-dma-buf.

    Registers are device memory: an access must be aligned, of 32 bits, and happen once, so each one
    is an element of an array of 32-bit words. (A slice of Python's mmap goes through memcpy, which
    may write twice or take bytes.) Memory is cached, and synchronised at every ``put`` and ``get``.

    Parameters
    ----------
    name : str
        Name of the UIO device, as in /sys/class/uio/uio*/name. The device tree's overlay names the
        memory ``udmabuf-NAME``; where there is none of that name, the first one is taken.
    root : Path
        Where /dev and /sys are.
    """

    interrupts = True

    def __init__(self, name: str = NAME, root: Path | str = "/"):
        self.root = Path(root)
        self._files: list[int] = []
        self._maps: list[mmap.mmap] = []
        with _named():
            uio = self._find("uio", name)
            self._buffer = self._find_buffer(f"udmabuf-{name}")
            self.memory_bytes = int((self._buffer / "size").read_text())
            self.base = int((self._buffer / "phys_addr").read_text(), 16)
            try:
                size = int((uio / "maps" / "map0" / "size").read_text(), 16)
                self.words = self._map(uio.name, size, os.O_SYNC).view(np.uint32)
                self._events = self._files[-1]
                self.memory = self._map(self._buffer.name, self.memory_bytes, 0)
            except BaseException:
                self.close()
                raise

    def read32(self, offset: int) -> int:
        return int(self.words[_index(offset)])

    def write32(self, offset: int, value: int) -> None:
        self.words[_index(offset)] = value

    def put(self, offset: int, data: bytes) -> None:
        self.memory[offset : offset + len(data)] = np.frombuffer(data, np.uint8)
        self.sync("sync_for_device", offset, len(data), TO_DEVICE)

    def get(self, offset: int, count: int) -> bytes:
        self.sync("sync_for_cpu", offset, count, FROM_DEVICE)
        return self.memory[offset : offset + count].tobytes()

    def wait(self, limit_s: float) -> None:
        """Sleep until the interrupt, which Linux masks whenever it came."""
        with _named():
            os.write(self._events, (1).to_bytes(WORD_BYTES, "little"))  # unmask
            if select.select([self._events], [], [], limit_s)[0]:
                os.read(self._events, WORD_BYTES)

    def sync(self, way: str, offset: int, count: int, direction: int) -> None:
        """Write back, or invalidate, the caches over a part of memory; a barrier, too."""
        with _named():
            for name, value in (
                ("sync_offset", offset),
                ("sync_size", count),
                ("sync_direction", direction),
                (way, 1),
            ):
                (self._buffer / name).write_text(str(value))

    def close(self) -> None:
        self.words = self.memory = np.zeros(0, np.uint32)
        while self._maps:
            self._maps.pop().close()
        while self._files:
            os.close(self._files.pop())

    def _find_buffer(self, name: str) -> Path:
        """Find the buffer of a name, which is its folder's, or the first one."""
        named = self.root / "sys" / "class" / "u-dma-buf" / name
        return named if named.is_dir() else self._find("u-dma-buf", None)

    def _find(self, kind: str, name: str | None) -> Path:
        """Find a device's folder under /sys/class by its name, or the first one."""
        folder = self.root / "sys" / "class" / kind
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        for device in found:
            if name is None or (device / "name").read_text().strip() == name:
                return device
        what = f"device named {name!r}" if name else "buffer"
        raise DeviceError(
            f"{folder} has no {what}: load the device tree overlay, and modules"
            " uio_pdrv_genirq and u-dma-buf"
        )

    def _map(self, device: str, size: int, flags: int) -> np.ndarray:
        file = os.open(self.root / "dev" / device, os.O_RDWR | flags)
        self._files.append(file)
        self._maps.append(mmap.mmap(file, size, mmap.MAP_SHARED))
        return np.frombuffer(self._maps[-1], np.uint8)


def _index(offset: int) -> int:
    if offset % WORD_BYTES:
        raise ValueError(f"offset 0x{offset:x} of a register is not a multiple of {WORD_BYTES}")
    return offset // WORD_BYTES


@contextmanager
def _named() -> Iterator[None]:
    """Turn what the system says into one line."""
    try:
        yield
    except OSError as error:
        remedy = ": run as root, or give your user access" if error.errno in (1, 13) else ""
        raise DeviceError(f"{error.filename or 'uio'}: {error.strerror}{remedy}") from None
