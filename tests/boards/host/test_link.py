"""Numbered requests over a line that damages bytes."""

import zlib

import numpy as np
import pytest

from boards.host import frames
from boards.host.errors import DeviceError
from boards.host.frames import Header, LinkOperation, LinkStatus
from boards.host.link import LinkRequest, SerialLink
from tests.boards.host.bridge import BridgeModel, VirtualLine

SILENCE_S = frames.SILENCE_BITS / frames.FIRST_BAUD


class Registers:
    """Registers that count how often each was written."""

    def __init__(self):
        self.values, self.writes = {0: 0x54495650}, []

    def read32(self, offset):
        return self.values[offset]

    def write32(self, offset, value):
        if offset >= 0x800:
            raise KeyError(offset)
        self.writes.append((offset, value))
        self.values[offset] = value


@pytest.fixture
def bridge():
    return BridgeModel(Registers(), np.zeros(1 << 15, np.uint8))


@pytest.fixture
def line(bridge):
    return VirtualLine(bridge)


@pytest.fixture
def link(line):
    link = SerialLink(line)
    link.open()
    return link


def once(index: int, kind: str, bit: int = 0):
    """Damage the byte of that number, once."""
    count = iter(range(1 << 30))

    def corrupt(byte):
        if next(count) != index:
            return (byte,)
        return {"flip": (byte ^ 1 << bit,), "lose": (), "double": (byte, byte)}[kind]

    return corrupt


def write32(offset, value):
    return LinkRequest(LinkOperation.WRITE32, frames.REGISTERS + offset, value)


def block(address, payload):
    return LinkRequest(LinkOperation.WRITE_BLOCK, address, len(payload), payload)


def test_reads_and_writes(link, bridge):
    link.ask([write32(4, 99)])
    (answer,) = link.ask([LinkRequest(LinkOperation.READ32, frames.REGISTERS + 4)])
    assert answer.header.value == 99 and bridge.registers.writes == [(4, 99)]
    data = np.random.default_rng(0).bytes(4096)
    link.ask([block(at, data[at : at + 256]) for at in range(0, 4096, 256)])
    assert bridge.memory[:4096].tobytes() == data
    reads = [LinkRequest(LinkOperation.READ_BLOCK, at, 256) for at in range(0, 4096, 256)]
    assert b"".join(answer.payload for answer in link.ask(reads)) == data
    (answer,) = link.ask([LinkRequest(LinkOperation.CRC, 16, 4080)])
    assert answer.header.value == zlib.crc32(data[16:4096])
    assert link.repeats == 0 and not bridge.overflowed


def test_many_requests_share_a_round_trip(link, line):
    before = line.now()
    link.ask([block(at, bytes(256)) for at in range(0, 1 << 14, 256)])
    sending = 64 * (16 + 256 + 4) * 10 / frames.FIRST_BAUD
    assert line.now() - before < sending + 0.1  # 64 round trips of 16 ms would be a second more


@pytest.mark.parametrize("kind", ["flip", "lose", "double"])
@pytest.mark.parametrize("way", ["to_bridge", "to_host"])
@pytest.mark.parametrize("index", range(16))
def test_a_write_acts_once(link, line, bridge, kind, way, index):
    setattr(line, way, once(index, kind, index % 8))
    link.ask([write32(4, 1)])
    link.ask([write32(4, 2)])
    assert bridge.registers.writes == [(4, 1), (4, 2)]


@pytest.mark.parametrize("kind", ["flip", "lose", "double"])
@pytest.mark.parametrize("way", ["to_bridge", "to_host"])
def test_blocks_in_a_row(link, line, bridge, kind, way):
    generator = np.random.default_rng(1)
    for trial in range(40):
        data = generator.bytes(20 * 64)
        setattr(line, way, once(int(generator.integers(20 * 84)), kind, trial % 8))
        link.ask([block(at, data[at : at + 64]) for at in range(0, len(data), 64)])
        reads = [LinkRequest(LinkOperation.READ_BLOCK, at, 64) for at in range(0, len(data), 64)]
        assert b"".join(answer.payload for answer in link.ask(reads)) == data
    assert link.repeats >= 15 and not bridge.overflowed


@pytest.mark.parametrize("way", ["to_bridge", "to_host"])
def test_more_requests_than_there_are_numbers(link, line, bridge, way):
    data = np.random.default_rng(2).bytes(700 * 16)
    for place in (0, 5000, 8200):  # of 700 requests of 36 bytes, or answers of 16
        setattr(line, way, once(place, "flip"))
        requests = [block(at, data[at : at + 16]) for at in range(0, len(data), 16)]
        assert len(link.ask(requests)) == 700
        assert bridge.memory[: len(data)].tobytes() == data
        bridge.memory[:] = 0
    assert link.repeats >= 3


def test_garbage_before_the_first_request(line, bridge):
    line.write(b"\xa5AT\r\n" * 3)
    link = SerialLink(line)
    link.open()
    assert bridge.open and link.repeats == 0


def test_a_higher_rate(link, line, bridge):
    assert link.set_period(25, 2_000_000)
    assert (bridge.period, line.baud) == (25, 2_000_000)
    before = line.now()
    link.ask([write32(4, 1)])
    assert line.now() - before < 0.02


def test_the_rate_changes_a_bit_after_the_answer(link, line, monkeypatch):
    """The answer's stop bit still has the old rate."""
    read, changed = [], []
    receive, change = line.read, line.set_baud
    monkeypatch.setattr(line, "read", lambda limit: (receive(limit), read.append(line.now()))[0])
    monkeypatch.setattr(
        line, "set_baud", lambda baud: (changed.append(line.now()), change(baud))[1]
    )
    assert link.set_period(25, 2_000_000)
    last = max(at for at in read if at <= changed[0])
    assert changed[0] - last == pytest.approx(1 / frames.FIRST_BAUD)


def test_idle_for_seconds(link, line, bridge):
    link.set_period(25, 2_000_000)
    for seconds in (0.5, 0.99, 1.1, 1.3, 100):
        line.pause(seconds)
        link.ask([write32(4, 1)])
    assert len(bridge.registers.writes) == 5


def test_a_rate_at_which_nothing_comes(link, line, bridge):
    link.set_period(25, 2_000_000)
    line.to_host = lambda byte: (byte ^ 0x11,) if line.baud > frames.FIRST_BAUD else (byte,)
    before = line.now()
    link.ask([write32(4, 1)])
    assert line.now() - before < 2 and bridge.registers.writes == [(4, 1)]
    assert link.bad == {2_000_000}
    assert not link.set_period(25, 2_000_000)
    link.ask([write32(4, 2)])
    assert bridge.registers.writes == [(4, 1), (4, 2)]


def failure(link, *requests) -> str:
    with pytest.raises(DeviceError) as error:
        link.ask(requests)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("baud", [frames.FIRST_BAUD, 2_000_000])
def test_a_board_that_does_not_answer(link, line, bridge, baud):
    if baud != frames.FIRST_BAUD:
        link.set_period(25, baud)
    line.to_bridge = lambda byte: ()
    before = line.now()
    said = failure(link, write32(4, 1))
    assert said == "the board does not answer (nothing came at 115,200 baud)"
    assert 0.5 < line.now() - before < 2
    line.to_bridge = lambda byte: (byte,)
    link.ask([write32(4, 2)])
    assert bridge.registers.writes == [(4, 2)]


def test_a_number_that_was_taken_without_an_answer_is_not_given_again(link, line, bridge):
    """The bridge would take the next write for a repetition, and not do it."""
    line.to_host = lambda byte: ()
    failure(link, write32(4, 1))
    line.to_host = lambda byte: (byte,)
    link.ask([write32(4, 2)])
    assert bridge.registers.writes == [(4, 1), (4, 2)]
    wrong = block(8, bytes(16))
    failure(link, wrong, *(block(at, bytes(16)) for at in range(0, 48, 16)))
    link.ask([write32(4, 3)])
    assert bridge.registers.writes[2:] == [(4, 3)]


def test_a_board_that_was_reset(link, bridge):
    bridge.power_on()
    assert failure(link, write32(4, 1)).startswith("the board was reset or configured anew")
    assert bridge.registers.writes == []
    link.open()
    link.ask([write32(4, 1)])


def test_a_board_that_was_reset_at_a_high_rate(link, bridge):
    link.set_period(25, 2_000_000)
    bridge.power_on()
    assert failure(link, write32(4, 1)).startswith("the board was reset or configured anew")


def test_another_program(link, line, bridge):
    other = SerialLink(line)
    other._last = 100
    other.open()
    assert failure(link, write32(4, 1)).startswith("the board takes requests of another program")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (LinkRequest(LinkOperation.READ32, frames.REGISTERS + 2), "RANGE"),
        (LinkRequest(LinkOperation.READ32, frames.REGISTERS + 4096), "RANGE"),
        (LinkRequest(LinkOperation.WRITE32, frames.CLOCK_HZ), "RANGE"),
        (LinkRequest(LinkOperation.READ_BLOCK, 0, 272), "RANGE"),
        (LinkRequest(LinkOperation.READ_BLOCK, (1 << 15) - 16, 32), "RANGE"),
        (LinkRequest(LinkOperation.WRITE_BLOCK, 8, 16, bytes(16)), "RANGE"),
        (LinkRequest(LinkOperation.WRITE_BLOCK, 0, 8, bytes(8)), "RANGE"),
        (LinkRequest(LinkOperation.PERIOD, 0, 3), "RANGE"),
        (LinkRequest(LinkOperation.READ32, frames.REGISTERS + 0x800), "BUS"),
    ],
)
def test_what_a_bridge_refuses(link, bridge, request_, status):
    assert failure(link, request_).endswith(f": {status}")
    link.ask([write32(4, 1)])
    assert bridge.registers.writes == [(4, 1)]


def test_a_request_that_came_long_ago_is_not_answered_twice(link, line, bridge):
    """A frame that was delayed by the system, and arrives behind later ones."""
    link.ask([write32(4, 1)])
    link.ask([write32(4, 2)])
    line.write(
        Header(frames.REQUEST, 1, LinkOperation.WRITE32, 0, frames.REGISTERS + 4, 1).encode()
    )
    link.ask([write32(4, 3)])
    assert bridge.registers.writes == [(4, 1), (4, 2), (4, 3)]


def test_a_write_that_was_refused_is_refused_again(link, bridge):
    sequence = (bridge.last + 1) % frames.SEQUENCES
    address = frames.REGISTERS + 0x800
    header = Header(frames.REQUEST, sequence, LinkOperation.WRITE32, 0, address, 1)
    for _ in range(2):
        bridge.sent.clear()
        bridge.request(header, b"", bridge.free_at)
        answer = frames.decode(bytes(byte for _, byte, _ in bridge.sent))
        assert answer is not None and answer.status == LinkStatus.BUS
    assert bridge.registers.writes == []
