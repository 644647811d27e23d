# amaranth: UnusedElaboratable=no
"""The RTL of the bridge and the host's model of it give equal answers to good and damaged bytes."""

import random

import numpy as np
import pytest

from boards.host import frames
from boards.host.frames import BITS_PER_BYTE, HEADER_BYTES, Header, LinkOperation, LinkStatus
from tests.boards.host.bridge import BridgeModel
from tests.rtl.soc.serial_bench import CLOCK_HZ, PERIOD, REFUSED, SILENCE_BITS, SerialHost

pytestmark = pytest.mark.sim
REQUESTS = 60
BYTES = 16 * 1024
REGISTERS = (0, 4, 0x20, REFUSED)
BYTE_S = BITS_PER_BYTE * PERIOD / CLOCK_HZ


class ModelRegisters:
    """Registers of the model; the same one refuses."""

    def __init__(self):
        self.values: dict[int, int] = {}
        self.writes: list[tuple] = []

    def read32(self, offset):
        if offset == REFUSED:
            raise ValueError
        return self.values.get(offset, 0)

    def write32(self, offset, value):
        self.writes.append(("write", offset, value))
        if offset == REFUSED:
            raise ValueError
        self.values[offset] = value


def request(rng, sequence):
    """A request of any kind, most of them allowed; and the sequence that follows from it."""
    operation = rng.choice([*LinkOperation, 9])
    step = rng.choice([1, 1, 1, 1, 1, 0, 3])
    sequence = (sequence + step) % 256
    address, value, payload = frames.REGISTERS + rng.choice(REGISTERS), rng.getrandbits(32), b""
    if rng.random() < 0.1:
        address = frames.LIGHTS
    if operation in (LinkOperation.READ_BLOCK, LinkOperation.WRITE_BLOCK, LinkOperation.CRC):
        address = 16 * rng.choice([0, 1, 700, BYTES // 16 - 1])
        value = rng.choice([16, 32, 32, 64, 20])
    if operation == LinkOperation.WRITE_BLOCK:
        payload = frames.checked(rng.randbytes(value))
    if operation == LinkOperation.PERIOD:
        value = rng.choice([0, PERIOD, 2])
    return Header(frames.REQUEST, sequence, operation, 0, address, value).encode() + payload


def damaged(rng, content):
    """The bytes as they are, or with one flipped, lost or doubled."""
    at, kind = rng.randrange(len(content)), rng.choice(["no", "no", "flip", "lose", "double"])
    middle = {
        "no": content[at : at + 1],
        "flip": bytes([content[at] ^ 1 << rng.randrange(8)]),
        "lose": b"",
        "double": 2 * content[at : at + 1],
    }
    return content[:at] + middle[kind] + content[at + 1 :]


def answers(content):
    """Decode what a bridge sent; the value counts where docs/serial.md gives it a meaning."""
    found = []
    while content:
        header = frames.decode(content[:HEADER_BYTES])
        assert header is not None
        end = HEADER_BYTES + (header.payload_bytes + 4 if header.payload_bytes else 0)
        meant = header.status in (LinkStatus.OK, LinkStatus.ORDER)
        fields = (header.sequence, header.operation, LinkStatus(header.status), header.address)
        found.append((*fields, header.value if meant else None, content[HEADER_BYTES:end]))
        content = content[end:]
    return found


@pytest.mark.parametrize("seed", [1])
def test_the_model_and_the_rtl_agree(monkeypatch, seed):
    monkeypatch.setattr("rtl.soc.line.SILENCE_BITS", SILENCE_BITS)
    monkeypatch.setattr(frames, "SILENCE_BITS", SILENCE_BITS)
    rng, registers = random.Random(seed), ModelRegisters()
    model = BridgeModel(registers, np.zeros(BYTES, np.uint8), CLOCK_HZ)
    host, seen = SerialHost(), set()

    async def bench(ctx, host):
        time, sequence = 1e-3, 0
        model.good_at = time
        opening = Header(frames.REQUEST, 0, LinkOperation.SYNC).encode()
        for index in range(REQUESTS):
            content = damaged(rng, request(rng, sequence)) if index else opening
            await host.send(ctx, content)
            for byte in content:
                time += BYTE_S
                model.receive(byte, time, PERIOD / CLOCK_HZ)
            quiet = 0
            while quiet <= SILENCE_BITS // BITS_PER_BYTE + 3:
                before = len(host.received)
                await ctx.tick().repeat(BITS_PER_BYTE * PERIOD)
                quiet = quiet + 1 if len(host.received) == before else 0
            time += 0.01
            model.advance(time)
            mine, theirs = bytes(host.received), bytes(byte for _, byte, _ in model.sent)
            host.received.clear()
            model.sent.clear()
            model.good_at = time  # a second is longer here than in the simulation
            assert answers(mine) == answers(theirs), (index, content.hex())
            seen.update(status for _, _, status, *_ in answers(mine))
            sequence = model.last

    host.run(bench)
    assert [access for access in host.accesses if access[0] == "write"] == registers.writes
    assert {LinkStatus.OK, LinkStatus.ORDER, LinkStatus.RANGE} <= seen
