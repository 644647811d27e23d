# amaranth: UnusedElaboratable=no
"""The line's queue: what came, what was broken, what came after silence, what found no room."""

import pytest

from rtl.soc import line
from rtl.soc.line import SerialLine
from tests.rtl.simulation import simulate
from tests.rtl.soc.test_uart import send

PERIOD, SILENCE = 4, 30


def receive(sender, *, monkeypatch):
    """(byte, fresh, broken) of everything in the queue after ``sender``."""
    monkeypatch.setattr(line, "SILENCE_BITS", SILENCE)
    serial, got = SerialLine(), []

    async def bench(ctx):
        ctx.set(serial.period, PERIOD)
        await ctx.tick()
        await sender(ctx, serial.rx)
        await ctx.tick().repeat(12 * PERIOD)
        ctx.set(serial.received.ready, 1)
        while ctx.get(serial.received.valid):
            entry = serial.received.p
            got.append(tuple(ctx.get(bit) for bit in (entry.byte, entry.fresh, entry.broken)))
            await ctx.tick()

    simulate(serial, bench)
    return got


@pytest.mark.parametrize(("bits", "fresh"), [(SILENCE - 14, 0), (SILENCE + 2, 1)])
def test_a_byte_after_silence_is_fresh(monkeypatch, bits, fresh):
    async def sender(ctx, pin):
        await send(ctx, pin, 1, PERIOD)
        await send(ctx, pin, 2, PERIOD)
        await ctx.tick().repeat(bits * PERIOD)  # silence counts from where the byte began
        await send(ctx, pin, 3, PERIOD)
        await send(ctx, pin, 4, PERIOD)

    assert receive(sender, monkeypatch=monkeypatch) == [
        (1, 1, 0),
        (2, 0, 0),
        (3, fresh, 0),
        (4, 0, 0),
    ]


def test_a_broken_byte_is_marked(monkeypatch):
    async def sender(ctx, pin):
        await send(ctx, pin, 0xFF, PERIOD, stop=0)
        await ctx.tick().repeat(12 * PERIOD)
        await send(ctx, pin, 7, PERIOD)

    got = receive(sender, monkeypatch=monkeypatch)
    assert (got[0], got[-1]) == ((0xFF, 1, 1), (7, 0, 0))


def test_what_finds_no_room_is_lost(monkeypatch):
    content = bytes(range(SerialLine.DEPTH + 5))

    async def sender(ctx, pin):
        for byte in content:
            await send(ctx, pin, byte, PERIOD)

    got = receive(sender, monkeypatch=monkeypatch)
    assert bytes(byte for byte, *_ in got) == content[: SerialLine.DEPTH]
