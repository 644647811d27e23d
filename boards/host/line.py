"""A serial line: bytes out, bytes in, and a rate; POSIX terminals without a library."""

from __future__ import annotations

import errno
import os
import select
import stat
import termios
import time
from abc import ABC, abstractmethod

from boards.host.errors import DeviceError

CHUNK = 4096
GROUP = "add your user to the group of the port (dialout, uucp)"


class Line(ABC):
    """Bytes to a bridge and back; time, too, so that a line without a clock can have its own.

    Members
    -------
    latency_s : float
        Seconds that adapter and system add to an answer, both ways, at most.
    """

    latency_s = 0.05

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Send bytes; returns before they have left."""

    @abstractmethod
    def read(self, limit_s: float) -> bytes:
        """Return what has come, at least a byte; nothing if none comes within the limit."""

    @abstractmethod
    def set_baud(self, baud: int) -> bool:
        """Change the rate of both directions; False where the line does not know it."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the port; twice does no harm."""

    def now(self) -> float:
        """Seconds."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Send nothing for some time."""
        time.sleep(seconds)


class TerminalLine(Line):
    """A serial port of the system: eight bits, no parity, one stop bit, no flow control.

    Parameters
    ----------
    port : str
        Such as /dev/ttyUSB0. It is this program's alone until it is closed.

    Raises
    ------
    DeviceError
        If there is no such port, it is no serial port, or may not be opened; later on, if it
        has gone.
    """

    def __init__(self, port: str):
        self.port = port
        try:
            self._file = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as error:
            remedy = f": {GROUP}" if error.errno == errno.EACCES else ""
            raise DeviceError(f"{port}: {error.strerror}{remedy}") from None
        try:
            if not stat.S_ISCHR(os.fstat(self._file).st_mode) or not os.isatty(self._file):
                raise DeviceError(f"{port} is not a serial port")
            self._configure()
        except BaseException:
            self.close()
            raise

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                select.select([], [self._open()], [], 1.0)
                rest = rest[os.write(self._file, rest) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._gone(error) from None

    def read(self, limit_s: float) -> bytes:
        try:
            if not select.select([self._open()], [], [], max(0.0, limit_s))[0]:
                return b""
            data = os.read(self._file, CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._gone(error) from None
        if not data:  # readable, and at its end
            raise self._gone(None)
        return data

    def set_baud(self, baud: int) -> bool:
        speed = getattr(termios, f"B{baud}", None)
        if speed is None:
            return False
        try:
            termios.tcdrain(self._open())
            settings = termios.tcgetattr(self._file)
            settings[4] = settings[5] = speed
            termios.tcsetattr(self._file, termios.TCSANOW, settings)
        except termios.error as error:
            raise self._gone(error) from None
        return True

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> int:
        if self._file < 0:
            raise DeviceError(f"{self.port} was closed: open it again")
        return self._file

    def _configure(self) -> None:
        settings = termios.tcgetattr(self._file)
        control = settings[6]
        control[termios.VMIN], control[termios.VTIME] = 0, 0
        flags = termios.CS8 | termios.CREAD | termios.CLOCAL
        speed = termios.B115200
        termios.tcsetattr(self._file, termios.TCSANOW, [0, 0, flags, 0, speed, speed, control])
        termios.tcflush(self._file, termios.TCIOFLUSH)

    def _gone(self, error: Exception | None) -> DeviceError:
        said = getattr(error, "strerror", None) or (error and error.args[-1]) or "end of file"
        return DeviceError(f"{self.port} has gone ({said}): plug it in, and open it again")
