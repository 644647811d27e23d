# amaranth: UnusedElaboratable=no
"""The serial bridge at its pins: every operation, refusals, repetitions, garbage, bit periods."""

import random
import zlib

import pytest

from boards.host.frames import (
    BIT_PERIOD,
    MEMORY_BYTES,
    REGISTERS,
    VERSION,
    LinkOperation,
    LinkStatus,
    checked,
)
from boards.host.frames import (
    CLOCK_HZ as CLOCK_REGISTER,
)
from tests.rtl.soc.serial_bench import (
    CLOCK_HZ,
    MEMORY_WORDS,
    PERIOD,
    REFUSED,
    SILENCE_BITS,
    SerialHost,
)

pytestmark = pytest.mark.sim
BYTES = 8 * MEMORY_WORDS


@pytest.fixture(autouse=True)
def short_silence(monkeypatch):
    monkeypatch.setattr("rtl.soc.line.SILENCE_BITS", SILENCE_BITS)


def words_of(content):
    return [int.from_bytes(content[i : i + 8], "little") for i in range(0, len(content), 8)]


def status_of(answer):
    return LinkStatus(answer[0].status)


async def value_of(ctx, host, *request, **more):
    """Value of an answer that is OK."""
    header, _ = await host.ask(ctx, *request, **more)
    assert header.status == LinkStatus.OK
    return header.value


def test_it_is_closed_until_sync():
    async def bench(ctx, host):
        assert status_of(await host.ask(ctx, LinkOperation.READ32, REGISTERS)) == LinkStatus.CLOSED
        assert await value_of(ctx, host, LinkOperation.STATE) == VERSION
        await value_of(ctx, host, LinkOperation.SYNC, step=76)
        state = VERSION | 1 << 8 | host.sequence << 16
        assert await value_of(ctx, host, LinkOperation.STATE, step=9) == state

    SerialHost().run(bench)


def test_registers_of_the_engine_and_its_own():
    async def bench(ctx, host):
        host.registers[0x20] = 0x89ABCDEF
        await value_of(ctx, host, LinkOperation.SYNC)
        assert await value_of(ctx, host, LinkOperation.READ32, REGISTERS + 0x20) == 0x89ABCDEF
        assert await value_of(ctx, host, LinkOperation.WRITE32, REGISTERS + 0xFF0, 7) == 7
        assert host.registers[0xFF0] == 7
        assert await value_of(ctx, host, LinkOperation.READ32, CLOCK_REGISTER) == CLOCK_HZ
        assert await value_of(ctx, host, LinkOperation.READ32, MEMORY_BYTES) == BYTES
        assert await value_of(ctx, host, LinkOperation.READ32, BIT_PERIOD) == PERIOD
        for operation in (LinkOperation.READ32, LinkOperation.WRITE32):
            refused = await host.ask(ctx, operation, REGISTERS + REFUSED, 3)
            assert status_of(refused) == LinkStatus.BUS

    SerialHost().run(bench)


def test_blocks_and_their_checksum():
    rng = random.Random(5)
    before, block, short = rng.randbytes(BYTES), rng.randbytes(256), rng.randbytes(16)

    async def bench(ctx, host):
        await value_of(ctx, host, LinkOperation.SYNC)
        header, payload = await host.ask(ctx, LinkOperation.READ_BLOCK, 0x40, 48)
        assert (header.value, payload) == (48, before[0x40:0x70])
        await value_of(ctx, host, LinkOperation.WRITE_BLOCK, 0x100, 256, checked(block))
        await value_of(ctx, host, LinkOperation.WRITE_BLOCK, BYTES - 16, 16, checked(short))
        _, payload = await host.ask(ctx, LinkOperation.READ_BLOCK, 0x100, 256)
        assert payload == block
        after = before[:0x100] + block + before[0x200:-16] + short
        for start, count in ((0, 64), (0xF0, 0x120), (BYTES - 1024, 1024)):
            checksum = zlib.crc32(after[start : start + count])
            assert await value_of(ctx, host, LinkOperation.CRC, start, count) == checksum

    SerialHost(words_of(before)).run(bench)


REFUSALS = [
    (LinkOperation.READ32, REGISTERS + 2, 0),
    (LinkOperation.READ32, REGISTERS + 0x1000, 0),
    (LinkOperation.READ32, 0x100, 0),
    (LinkOperation.WRITE32, CLOCK_REGISTER, 1),
    (LinkOperation.READ_BLOCK, 8, 16),
    (LinkOperation.READ_BLOCK, 0, 24),
    (LinkOperation.READ_BLOCK, 0, 0),
    (LinkOperation.READ_BLOCK, 0, 272),
    (LinkOperation.READ_BLOCK, BYTES - 16, 32),
    (LinkOperation.READ_BLOCK, 0xFFFF_FFF0, 32),
    (LinkOperation.CRC, 0, 0),
    (LinkOperation.CRC, 0, BYTES + 16),
    (LinkOperation.PERIOD, 0, 3),
    (LinkOperation.PERIOD, 0, 65_536),
]


def test_what_is_not_allowed_is_refused_and_changes_nothing():
    async def bench(ctx, host):
        await value_of(ctx, host, LinkOperation.SYNC)
        for request in REFUSALS:
            header, payload = await host.ask(ctx, *request)
            assert (LinkStatus(header.status), payload) == (LinkStatus.RANGE, b""), request
        unknown = await host.ask(ctx, 8)
        assert status_of(unknown) == LinkStatus.OPERATION
        beyond = await host.ask(ctx, LinkOperation.WRITE_BLOCK, BYTES, 16, checked(bytes(16)))
        assert status_of(beyond) == LinkStatus.RANGE
        assert host.accesses == []
        assert await value_of(ctx, host, LinkOperation.CRC, 0, 32) == zlib.crc32(bytes(32))

    SerialHost().run(bench)


def test_a_block_of_an_impossible_length_is_refused_and_what_follows_ignored():
    async def bench(ctx, host):
        await value_of(ctx, host, LinkOperation.SYNC)
        answer = await host.ask(ctx, LinkOperation.WRITE_BLOCK, 0, 20, checked(bytes(20)))
        assert status_of(answer) == LinkStatus.RANGE
        host.sequence += 1
        await host.send(ctx, host.request(LinkOperation.STATE))
        assert await host.answer(ctx) is None
        await host.silence(ctx)
        await value_of(ctx, host, LinkOperation.STATE)

    SerialHost().run(bench)


def test_a_repetition_is_answered_and_acts_once():
    first, second = bytes(range(16)), bytes(16)

    async def bench(ctx, host):
        await value_of(ctx, host, LinkOperation.SYNC)
        await value_of(ctx, host, LinkOperation.WRITE32, REGISTERS + 4, 1)
        assert await value_of(ctx, host, LinkOperation.WRITE32, REGISTERS + 4, 1, step=0) == 1
        assert host.accesses == [("write", 4, 1)]
        refused = await host.ask(ctx, LinkOperation.WRITE32, REGISTERS + REFUSED, 1)
        again = await host.ask(ctx, LinkOperation.WRITE32, REGISTERS + REFUSED, 1, step=0)
        assert status_of(refused) == status_of(again) == LinkStatus.BUS
        assert len(host.accesses) == 2
        await value_of(ctx, host, LinkOperation.WRITE_BLOCK, 0, 16, checked(first))
        await value_of(ctx, host, LinkOperation.WRITE_BLOCK, 0, 16, checked(second), step=0)
        _, payload = await host.ask(ctx, LinkOperation.READ_BLOCK, 0, 16)
        assert payload == first
        host.registers[8] = 1
        assert await value_of(ctx, host, LinkOperation.READ32, REGISTERS + 8) == 1
        host.registers[8] = 2
        assert await value_of(ctx, host, LinkOperation.READ32, REGISTERS + 8, step=0) == 2

    SerialHost().run(bench)


def test_a_request_out_of_order_is_refused_with_the_last_one_s_number():
    async def bench(ctx, host):
        await value_of(ctx, host, LinkOperation.SYNC, step=254)
        for step in (2, -3, 100):
            last = host.sequence
            answer = await host.ask(ctx, LinkOperation.WRITE32, REGISTERS, 1, step=step)
            assert (status_of(answer), answer[0].value) == (LinkStatus.ORDER, last)
            host.sequence = last
        last = host.sequence
        dropped = await host.ask(
            ctx, LinkOperation.WRITE_BLOCK, 0, 16, checked(b"\xff" * 16), step=5
        )
        assert status_of(dropped) == LinkStatus.ORDER
        host.sequence = last
        await value_of(ctx, host, LinkOperation.CRC, 0, 16)  # 255
        await value_of(ctx, host, LinkOperation.WRITE32, REGISTERS, 1)  # 0
        assert host.accesses == [("write", 0, 1)]

    SerialHost().run(bench)


GARBAGE = {
    "mark": lambda frame: b"\x00" + frame[1:],
    "status": lambda frame: frame[:3] + b"\x01" + frame[4:],
    "flipped": lambda frame: frame[:9] + bytes([frame[9] ^ 4]) + frame[10:],
    "lost": lambda frame: frame[:7] + frame[8:],
    "doubled": lambda frame: frame[:5] + frame[4:],
}


@pytest.mark.parametrize("damage", GARBAGE.values(), ids=GARBAGE)
def test_after_garbage_it_waits_for_silence(damage):
    async def bench(ctx, host):
        await value_of(ctx, host, LinkOperation.SYNC)
        host.sequence += 1
        good = host.request(LinkOperation.WRITE32, REGISTERS, 5)
        await host.send(ctx, damage(good) + good)
        assert await host.answer(ctx, patience=40) is None
        assert host.accesses == []
        await host.silence(ctx)
        await host.send(ctx, good)
        header, _ = await host.answer(ctx)
        assert header.status == LinkStatus.OK

    SerialHost().run(bench)


@pytest.mark.parametrize("position", [0, 15, 16, 21])
def test_a_damaged_payload_writes_nothing(position):
    async def bench(ctx, host):
        await value_of(ctx, host, LinkOperation.SYNC)
        host.sequence += 1
        payload = bytearray(checked(b"\xee" * 16))
        if position < len(payload):
            payload[position] ^= 0x10
        else:
            payload = payload[:7]  # it ends too early
        await host.send(ctx, host.request(LinkOperation.WRITE_BLOCK, 0, 16) + payload)
        assert await host.answer(ctx, patience=40) is None
        await host.silence(ctx)
        host.sequence -= 1
        assert await value_of(ctx, host, LinkOperation.CRC, 0, 16) == zlib.crc32(bytes(16))

    SerialHost().run(bench)


def test_requests_one_behind_the_other_are_answered_in_order():
    async def bench(ctx, host):
        await value_of(ctx, host, LinkOperation.SYNC)
        frames = b""
        for value in range(16):
            host.sequence += 1
            frames += host.request(LinkOperation.WRITE32, REGISTERS + 4 * value, value)
        await host.send(ctx, frames)
        for value in range(16):
            header, _ = await host.answer(ctx)
            assert (header.status, header.value) == (LinkStatus.OK, value)
        assert host.accesses == [("write", 4 * value, value) for value in range(16)]
        frames = b""
        for _ in range(4):
            host.sequence += 1
            frames += host.request(LinkOperation.READ_BLOCK, 0, 32)
        await host.send(ctx, frames)
        for _ in range(4):
            assert (await host.answer(ctx))[1] == bytes(32)

    SerialHost().run(bench)


def test_the_bit_period_changes_behind_the_answer():
    async def bench(ctx, host):
        await value_of(ctx, host, LinkOperation.SYNC)
        assert await value_of(ctx, host, LinkOperation.PERIOD, 0, 6) == 6
        host.period = 6
        assert await value_of(ctx, host, LinkOperation.READ32, BIT_PERIOD) == 6
        await value_of(ctx, host, LinkOperation.PERIOD, 0, 0)
        host.period = PERIOD
        assert await value_of(ctx, host, LinkOperation.READ32, BIT_PERIOD) == PERIOD

    SerialHost().run(bench)
