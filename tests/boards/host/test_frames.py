"""Frames of the serial link, against docs/serial.md."""

import re
from pathlib import Path

import pytest

from boards.host import frames
from boards.host.frames import Header, LinkOperation, LinkStatus

PAGE = (Path(__file__).parents[3] / "docs" / "serial.md").read_text(encoding="utf-8")
IDENTITY = Header(frames.REQUEST, 7, LinkOperation.READ32, 0, frames.REGISTERS)


def test_the_example_of_the_page():
    request, answer = re.findall(r"^((?:[0-9a-f]{2} ){15}[0-9a-f]{2})$", PAGE, re.MULTILINE)
    assert IDENTITY.encode() == bytes.fromhex(request)
    value = int.from_bytes(b"PVIT", "little")
    expected = Header(frames.ANSWER, 7, LinkOperation.READ32, 0, frames.REGISTERS, value)
    assert frames.decode(bytes.fromhex(answer)) == expected


@pytest.mark.parametrize("names", [LinkOperation, LinkStatus])
def test_the_tables_of_the_page(names):
    for member in names:
        assert f"| {member.value} | {member.name} |" in PAGE


def test_the_numbers_of_the_page():
    for text in (
        f"{frames.SILENCE_BITS:,} bit periods",
        f"at most **{frames.UNANSWERED}** requests",
        f"at most **{frames.UNANSWERED_READS}** where",
        f"16 … {frames.CRC_MAX:,}",
        f"{frames.PERIOD_MIN} … {frames.PERIOD_MAX:,}",
        f"16 to {frames.PAYLOAD_MAX}",
    ):
        assert text in PAGE, text


def test_a_flipped_bit_is_found():
    data = IDENTITY.encode()
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert frames.decode(bytes(flipped)) is None


def test_payloads():
    sizes = {
        Header(frames.REQUEST, 0, operation, 0, 0, 64).payload_bytes: operation
        for operation in (LinkOperation.READ_BLOCK, LinkOperation.WRITE_BLOCK)
    }
    assert sizes == {0: LinkOperation.READ_BLOCK, 64: LinkOperation.WRITE_BLOCK}
    assert Header(frames.ANSWER, 0, LinkOperation.READ_BLOCK, 0, 0, 64).payload_bytes == 64
    assert (
        Header(frames.ANSWER, 0, LinkOperation.READ_BLOCK, LinkStatus.RANGE, 0, 64).payload_bytes
        == 0
    )


def test_first_period():
    assert frames.first_period(50_000_000) == 434
