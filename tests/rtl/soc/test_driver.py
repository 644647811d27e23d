# amaranth: UnusedElaboratable=no
"""The host's own serial transport speaks with the bridge's RTL, over a line that does damage."""

import random
from collections import deque

import pytest
from amaranth.sim import Simulator

from boards.host import frames
from boards.host.line import Line
from boards.host.serial import SerialTransport
from tests.rtl.soc.serial_bench import CLOCK_HZ, PERIOD, SILENCE_BITS, SerialHost

pytestmark = pytest.mark.sim
BYTE_S = frames.BITS_PER_BYTE * PERIOD / CLOCK_HZ


class SimulatedLine(Line):
    """A line whose other end is the RTL; its time is that of the simulation.

    ``lost`` are the numbers of bytes, counted over both directions, that do not arrive.
    """

    def __init__(self, lost=()):
        self.host, self.time, self.lost = SerialHost(), 0.0, set(lost)
        self.outgoing: deque[int] = deque()
        self.count = 0
        self.simulator = Simulator(self.host.design)
        self.simulator.add_clock(1 / CLOCK_HZ)
        for bench in (self._send, self.host._listen, self.host._serve):
            self.simulator.add_testbench(bench, background=True)
        self.pause(10 / CLOCK_HZ)

    async def _send(self, ctx):
        while True:
            if self.outgoing:
                await self.host.send(ctx, [self.outgoing.popleft()])
            else:
                await ctx.tick()

    def _arrives(self, _):
        self.count += 1
        return self.count not in self.lost

    def write(self, data):
        self.outgoing.extend(filter(self._arrives, data))

    def read(self, limit_s):
        ends = self.time + limit_s
        while not self.host.received and self.time < ends:
            self.pause(BYTE_S)
        data = bytes(filter(self._arrives, self.host.received))
        self.host.received.clear()
        return data

    def set_baud(self, baud):
        return True

    def close(self):
        pass

    def now(self):
        return self.time

    def pause(self, seconds):
        self.time += seconds
        self.simulator.run_until(self.time)


@pytest.mark.parametrize("lost", [(), (40, 150, 600, 601)], ids=["sound", "lossy"])
def test_the_transport_over_the_rtl(monkeypatch, lost):
    monkeypatch.setattr("rtl.soc.line.SILENCE_BITS", SILENCE_BITS)
    monkeypatch.setattr(frames, "SILENCE_BITS", SILENCE_BITS)
    line, content = SimulatedLine(lost), random.Random(1).randbytes(272)
    transport = SerialTransport(line, rates=())
    assert transport.memory_bytes == 16 * 1024
    transport.write32(0x18, 0x0123_4567)
    assert transport.read32(0x18) == 0x0123_4567
    transport.put(0x30, content)
    assert transport.get(0x30, len(content)) == content
    assert transport.difference(0x30, content) is None
    assert transport.difference(0x30, bytes(272)) == 0x30
    assert [access for access in line.host.accesses if access[0] == "write"] == [
        ("write", 0x18, 0x0123_4567)
    ]
    assert bool(transport.link.repeats) == bool(lost)
