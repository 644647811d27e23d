"""Frames of the serial link: headers, payloads, their check sums.

Source: docs/serial.md.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

VERSION = 1
REQUEST, ANSWER = 0xA5, 0x5A  # marks: the first byte of a frame
FIELDS = struct.Struct("<BBBBII")
CHECK = struct.Struct("<I")
CHECK_BYTES = CHECK.size
HEADER_BYTES = FIELDS.size + CHECK_BYTES
ALIGNMENT = 16  # of blocks, in bytes
PAYLOAD_MAX = 256
CRC_MAX = 1 << 18
SEQUENCES = 256
REGISTERS = 0x8000_0000  # where the engine's registers begin
CLOCK_HZ, MEMORY_BYTES, BIT_PERIOD = 0xC000_0000, 0xC000_0004, 0xC000_0008
LIGHTS, LIGHTS_BITS = 0xC000_000C, 8
FIRST_BAUD = 115_200
PERIOD_MIN, PERIOD_MAX = 4, 0xFFFF
SILENCE_BITS = 8192
BITS_PER_BYTE = 10
FALLBACK_S = 1.0
UNANSWERED = 16
UNANSWERED_READS = 4
OPEN_BIT, LAST_BIT = 8, 16  # of STATE's value


class LinkOperation(IntEnum):
    """Kinds of requests."""

    STATE = 0
    SYNC = 1
    READ32 = 2
    WRITE32 = 3
    READ_BLOCK = 4
    WRITE_BLOCK = 5
    CRC = 6
    PERIOD = 7


class LinkStatus(IntEnum):
    """Outcomes of a request."""

    OK = 0
    CLOSED = 1
    ORDER = 2
    OPERATION = 3
    RANGE = 4
    BUS = 5


@dataclass(frozen=True)
class Header:
    """The first 16 bytes of a frame.

    Parameters
    ----------
    mark : int
        :data:`REQUEST` or :data:`ANSWER`.
    sequence, operation, status : int
        8 bits each.
    address, value : int
        32 bits each.
    """

    mark: int
    sequence: int
    operation: int
    status: int = 0
    address: int = 0
    value: int = 0

    def encode(self) -> bytes:
        """Return the header's bytes."""
        fields = (self.mark, self.sequence, self.operation, self.status, self.address, self.value)
        return checked(FIELDS.pack(*fields))

    @property
    def payload_bytes(self) -> int:
        """Bytes of the payload that follows, without its check sum."""
        carries = LinkOperation.WRITE_BLOCK if self.mark == REQUEST else LinkOperation.READ_BLOCK
        return self.value if self.operation == carries and self.status == LinkStatus.OK else 0


def checked(content: bytes) -> bytes:
    """Return content with its CRC-32 behind it."""
    return content + CHECK.pack(zlib.crc32(content))


def unchecked(data: bytes) -> bytes | None:
    """Return content without the CRC-32 behind it; None if that is wrong."""
    content, check = data[:-CHECK_BYTES], data[-CHECK_BYTES:]
    return content if CHECK.pack(zlib.crc32(content)) == check else None


def decode(data: bytes) -> Header | None:
    """Return the header in 16 bytes; None if its CRC-32 is wrong."""
    content = unchecked(data)
    return None if content is None else Header(*FIELDS.unpack(content))


def first_period(clock_hz: int) -> int:
    """Cycles per bit that a bridge starts with."""
    return (2 * clock_hz + FIRST_BAUD) // (2 * FIRST_BAUD)


def is_block(address: int, count: int, limit: int = PAYLOAD_MAX) -> bool:
    """Whether address and number of bytes are those of a block."""
    return (address | count) % ALIGNMENT == 0 and ALIGNMENT <= count <= limit
