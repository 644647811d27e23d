"""The bridge of docs/serial.md, byte by byte, and a line to it with a clock of its own."""

import zlib
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np

from boards.host import frames
from boards.host.frames import HEADER_BYTES, Header, LinkOperation, LinkStatus
from boards.host.line import Line

FIFO_BYTES = 64
ANSWER_S = 100e-6
CRC_BYTES_PER_S = 1e6
ACTS = (LinkOperation.WRITE32, LinkOperation.WRITE_BLOCK, LinkOperation.PERIOD)


class RegisterPort(Protocol):
    """Anything with registers; a ``ValueError`` or ``KeyError`` is an error of the bus."""

    def read32(self, offset: int) -> int: ...

    def write32(self, offset: int, value: int) -> None: ...


class BridgeModel:
    """A bridge that takes bytes at given times, and lists the bytes that it sends with theirs.

    Attributes
    ----------
    sent : deque of (time, byte, bit period in seconds)
        The time is that of the stop bit's end.
    overflowed : bool
        The FIFO had no room for a byte.
    """

    def __init__(self, registers: RegisterPort, memory: np.ndarray, clock_hz: int = 50_000_000):
        self.registers, self.memory, self.clock_hz = registers, memory, clock_hz
        self.sent: deque[tuple[float, int, float]] = deque()
        self.overflowed = False
        self.power_on()

    def power_on(self) -> None:
        self.period = frames.first_period(self.clock_hz)
        self.open, self.last = False, 0
        self.refused = False  # the last write of a register
        self.lights = 0
        self.frame, self.ignoring = bytearray(), False
        self.fifo: deque[tuple[float, int]] = deque()
        self.free_at = self.arrived_at = self.good_at = 0.0

    @property
    def bit_s(self) -> float:
        return self.period / self.clock_hz

    def receive(self, byte: int, at: float, bit_s: float) -> None:
        """Take a byte whose stop bit ends at ``at``."""
        self.advance(at)
        if at - self.arrived_at > frames.SILENCE_BITS * self.bit_s:
            self.frame.clear()
            self.ignoring = False
        self.arrived_at = at
        if abs(bit_s / self.bit_s - 1) > 0.04:
            self.damaged()  # a stop bit is not where it should be
        elif len(self.fifo) >= FIFO_BYTES:
            self.overflowed = True
        elif not self.ignoring:
            self.fifo.append((at, byte))
            self.advance(at)

    def advance(self, now: float) -> None:
        """Work on what has come until a time."""
        while self.fifo:
            at, byte = self.fifo[0]
            start = max(at, self.free_at)
            if start > now:
                break
            self.fifo.popleft()
            self.take(byte, start)
        if now - self.good_at > frames.FALLBACK_S:
            self.period = frames.first_period(self.clock_hz)

    def damaged(self) -> None:
        self.frame.clear()
        self.fifo.clear()
        self.ignoring = True

    def take(self, byte: int, now: float) -> None:
        self.frame.append(byte)
        length = len(self.frame)
        if self.frame[0] != frames.REQUEST or (length == 4 and byte):
            return self.damaged()
        if length < HEADER_BYTES:
            return None
        header = frames.decode(bytes(self.frame[:HEADER_BYTES]))
        if header is None:
            return self.damaged()
        payload = b""
        if header.operation == LinkOperation.WRITE_BLOCK:
            if not frames.is_block(0, header.value):
                self.good_at = now
                self.answer(header, self.take_number(header)[0] or LinkStatus.RANGE, 0, now)
                return self.damaged()
            if length < HEADER_BYTES + header.value + frames.CHECK_BYTES:
                return None
            payload = frames.unchecked(bytes(self.frame[HEADER_BYTES:]))
            if payload is None:
                return self.damaged()
        self.frame.clear()
        self.good_at = now
        return self.request(header, payload, now)

    def take_number(self, header: Header) -> tuple[LinkStatus, bool]:
        """Status of the sequence, and whether the request is new."""
        if header.operation == LinkOperation.STATE:
            return LinkStatus.OK, False
        if header.operation == LinkOperation.SYNC:
            self.open, self.last = True, header.sequence
            return LinkStatus.OK, True
        if not self.open:
            return LinkStatus.CLOSED, False
        new = header.sequence == (self.last + 1) % frames.SEQUENCES
        if not new and header.sequence != self.last:
            return LinkStatus.ORDER, False
        self.last = header.sequence
        return LinkStatus.OK, new

    def request(self, header: Header, payload: bytes, now: float) -> None:
        status, new = self.take_number(header)
        if status == LinkStatus.ORDER:
            return self.answer(header, status, self.last, now)
        if status:
            return self.answer(header, status, 0, now)
        try:
            operation = LinkOperation(header.operation)
        except ValueError:
            return self.answer(header, LinkStatus.OPERATION, 0, now)
        if not self.in_range(operation, header):
            return self.answer(header, LinkStatus.RANGE, 0, now)
        try:
            value, content, seconds = self.act(operation, header, payload, new)
        except (ValueError, KeyError):
            return self.answer(header, LinkStatus.BUS, 0, now)
        self.answer(header, LinkStatus.OK, value, now + seconds, content)
        if operation == LinkOperation.PERIOD and new:
            self.period = header.value or frames.first_period(self.clock_hz)
        return None

    def in_range(self, operation: LinkOperation, header: Header) -> bool:
        address, value = header.address, header.value
        if operation in (LinkOperation.READ32, LinkOperation.WRITE32):
            register = frames.REGISTERS <= address < frames.REGISTERS + 4096
            own = (frames.CLOCK_HZ, frames.MEMORY_BYTES, frames.BIT_PERIOD)
            readable = operation == LinkOperation.READ32 and address in own
            return address % 4 == 0 and (register or readable or address == frames.LIGHTS)
        if operation == LinkOperation.PERIOD:
            return value == 0 or frames.PERIOD_MIN <= value <= frames.PERIOD_MAX
        if operation in (LinkOperation.STATE, LinkOperation.SYNC):
            return True
        limit = frames.CRC_MAX if operation == LinkOperation.CRC else frames.PAYLOAD_MAX
        return frames.is_block(address, value, limit) and address + value <= len(self.memory)

    def act(
        self, operation: LinkOperation, header: Header, payload: bytes, new: bool
    ) -> tuple[int, bytes, float]:
        """Do it; return the answer's value and payload, and the seconds that it took."""
        address, value = header.address, header.value
        part = slice(address, address + value)
        if operation == LinkOperation.STATE:
            state = self.open << frames.OPEN_BIT | self.last << frames.LAST_BIT
            return frames.VERSION | state, b"", 0
        if operation == LinkOperation.READ32:
            own = {
                frames.CLOCK_HZ: self.clock_hz,
                frames.MEMORY_BYTES: len(self.memory),
                frames.BIT_PERIOD: self.period,
                frames.LIGHTS: self.lights,
            }
            if address in own:
                return own[address], b"", 0
            return self.registers.read32(address - frames.REGISTERS), b"", 0
        if operation == LinkOperation.WRITE32 and address == frames.LIGHTS:
            self.lights = value & (1 << frames.LIGHTS_BITS) - 1
        elif operation == LinkOperation.WRITE32:
            self.write_register(address - frames.REGISTERS, value, new)
        if operation == LinkOperation.WRITE_BLOCK and new:
            self.memory[part] = np.frombuffer(payload, np.uint8)
        if operation == LinkOperation.CRC:
            return zlib.crc32(self.memory[part].tobytes()), b"", value / CRC_BYTES_PER_S
        return value, self.memory[part].tobytes() * (operation == LinkOperation.READ_BLOCK), 0

    def write_register(self, offset: int, value: int, new: bool) -> None:
        """Write once; a repetition that was refused is refused again."""
        if new:
            self.refused = True
            self.registers.write32(offset, value)
            self.refused = False
        elif self.refused:
            raise ValueError

    def answer(
        self, header: Header, status: LinkStatus, value: int, now: float, content: bytes = b""
    ) -> None:
        answer = Header(
            frames.ANSWER, header.sequence, header.operation, status, header.address, value
        )
        at = max(now, self.free_at) + ANSWER_S
        for byte in answer.encode() + (frames.checked(content) if content else b""):
            at += frames.BITS_PER_BYTE * self.bit_s
            self.sent.append((at, byte, self.bit_s))
        self.free_at = at


Corrupt = Callable[[int], Iterable[int]]
"""From a byte that was sent to those that arrive."""


def untouched(byte: int) -> Iterable[int]:
    """Corrupt nothing."""
    return (byte,)


class VirtualLine(Line):
    """A line to a BridgeModel, in a time that passes when somebody waits.

    Attributes
    ----------
    to_bridge, to_host : Corrupt
    """

    LATENCY_S = 0.016  # of an FTDI's short packets

    def __init__(self, bridge: BridgeModel):
        self.bridge = bridge
        self.time = self.free_at = 1.0
        self.baud = frames.FIRST_BAUD
        self.to_bridge: Corrupt = untouched
        self.to_host: Corrupt = untouched
        self.plugged = True
        self.closed = False

    def write(self, data: bytes) -> None:
        self._require()
        at = max(self.time, self.free_at)
        for sent in data:
            at += frames.BITS_PER_BYTE / self.baud
            for byte in self.to_bridge(sent):
                self.bridge.receive(byte, at, 1 / self.baud)
        self.free_at = at

    def read(self, limit_s: float) -> bytes:
        self._require()
        ends = self.time + limit_s
        self.bridge.advance(max(ends, self.free_at))
        if not self.bridge.sent or self.bridge.sent[0][0] + self.LATENCY_S > ends:
            self.time = ends
            return b""
        self.time = max(self.time, self.bridge.sent[0][0] + self.LATENCY_S)
        data = bytearray()
        while self.bridge.sent and self.bridge.sent[0][0] <= self.time:
            _, byte, bit_s = self.bridge.sent.popleft()
            wrong = abs(bit_s * self.baud - 1) > 0.04
            data += bytes(self.to_host(byte ^ 0x5A if wrong else byte))
        return bytes(data) or self.read(ends - self.time)

    def set_baud(self, baud: int) -> bool:
        self._require()
        self.time = max(self.time, self.free_at)
        self.baud = baud
        return True

    def close(self) -> None:
        self.closed = True

    def now(self) -> float:
        return self.time

    def pause(self, seconds: float) -> None:
        self._require()
        self.time += seconds
        self.bridge.advance(self.time)

    def _require(self) -> None:
        from boards.host.errors import DeviceError

        if not self.plugged:
            raise DeviceError("virtual has gone (no such device): plug it in, and open it again")
