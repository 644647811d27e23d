"""A serial cable: registers and memory behind a bridge in the FPGA.

Source: docs/serial.md.
"""

from __future__ import annotations

import zlib

from boards.host import frames
from boards.host.errors import DeviceError, UserError
from boards.host.frames import LinkOperation
from boards.host.line import Line, TerminalLine
from boards.host.link import LinkRequest, SerialLink
from boards.host.package import Package
from boards.host.transport import Transport

RATES = (2_000_000, 1_000_000, 500_000)  # tried in this order
MISMATCH = 0.02  # of a rate and the nearest bit period


def open_transport(argument: str, package: Package) -> Transport:
    """Open ``serial:PORT``, or ``serial:PORT@BAUD`` for a rate of one's own."""
    port, _, baud = argument.partition("@")
    if not port:
        raise UserError("serial needs a port: --device serial:/dev/ttyUSB0")
    if baud and not baud.isdecimal():
        raise UserError(f"serial:{argument}: the rate must be a number, not {baud!r}")
    return SerialTransport(TerminalLine(port), (int(baud),) if baud else RATES)


class SerialTransport(Transport):
    """An engine behind a serial bridge; memory begins at the engine's address 0.

    Parameters
    ----------
    line : Line
        At the first rate; closed with this.
    rates : sequence of int
        Rates to try, the best first; without any the first rate stays.
    """

    POLL_S = 0.001

    def __init__(self, line: Line, rates: tuple[int, ...] = RATES):
        self.line = line
        self.rates = rates
        self.link = SerialLink(line)
        self._clock_hz = 0  # until it is known
        try:
            self.link.open()
            self._clock_hz = self._word(frames.CLOCK_HZ)
            self._speed_up()
            self.memory_bytes = self._word(frames.MEMORY_BYTES)
        except BaseException:
            line.close()
            raise

    def read32(self, offset: int) -> int:
        return self._word(frames.REGISTERS + offset)

    def write32(self, offset: int, value: int) -> None:
        self._ask(LinkRequest(LinkOperation.WRITE32, frames.REGISTERS + offset, value))

    def put(self, offset: int, data: bytes) -> None:
        self._inside(offset, len(data))
        pieces = (
            (offset + at, data[at : at + frames.PAYLOAD_MAX])
            for at in range(0, len(data), frames.PAYLOAD_MAX)
        )
        self._ask(*(LinkRequest(LinkOperation.WRITE_BLOCK, at, len(p), p) for at, p in pieces))

    def get(self, offset: int, count: int) -> bytes:
        self._inside(offset, count)
        requests = [
            LinkRequest(LinkOperation.READ_BLOCK, at, min(frames.PAYLOAD_MAX, offset + count - at))
            for at in range(offset, offset + count, frames.PAYLOAD_MAX)
        ]
        return b"".join(answer.payload for answer in self._ask(*requests))

    def difference(self, offset: int, data: bytes) -> int | None:
        """Compare by the bridge's CRC-32; the offset is that of a piece."""
        self._inside(offset, len(data))
        for at in range(0, len(data), frames.CRC_MAX):
            piece = data[at : at + frames.CRC_MAX]
            answer = self._ask(LinkRequest(LinkOperation.CRC, offset + at, len(piece)))[0]
            if answer.header.value != zlib.crc32(piece):
                return offset + at
        return None

    def show(self, lights: int) -> None:
        self._ask(LinkRequest(LinkOperation.WRITE32, frames.LIGHTS, lights))

    def wait(self, limit_s: float) -> None:
        self.line.pause(min(self.POLL_S, limit_s))

    def now(self) -> float:
        return self.line.now()

    def close(self) -> None:
        self.line.close()

    def _word(self, address: int) -> int:
        return self._ask(LinkRequest(LinkOperation.READ32, address))[0].header.value

    def _ask(self, *requests: LinkRequest):
        if self.rates and self.link.baud == frames.FIRST_BAUD and self._clock_hz:
            self._speed_up()
        return self.link.ask(requests)

    def _speed_up(self) -> None:
        """Take the best rate that works; one that does not is not tried again."""
        while self.rates and self.link.baud == frames.FIRST_BAUD:
            baud, *others = self.rates
            period = (2 * self._clock_hz + baud) // (2 * baud)
            near = abs(self._clock_hz / max(1, period) / baud - 1) < MISMATCH
            fits = (
                baud not in self.link.bad
                and near
                and frames.PERIOD_MIN <= period <= frames.PERIOD_MAX
            )
            if not fits or not self.link.set_period(period, baud):
                self.rates = tuple(others)

    def _inside(self, offset: int, count: int) -> None:
        """Refuse what is no whole words of memory, or not in it."""
        if (offset | count) % frames.ALIGNMENT or count <= 0:
            raise ValueError(f"{count} bytes at {offset} are no whole words of memory")
        if offset + count > self.memory_bytes:
            raise DeviceError(
                f"bytes {offset:,} to {offset + count:,} are not in the board's memory of"
                f" {self.memory_bytes:,}"
            )
