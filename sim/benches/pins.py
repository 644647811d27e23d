"""The pins of a board with a serial bridge: a clock, two wires, and what lights up.

The simulator's end of sim/pins/line.py. The clock that the design gets is that of its engine: the
model of a phase-locked loop passes it on.
"""

from collections import deque
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import Event, FallingEdge, First, RisingEdge, Timer
from cocotb.utils import get_sim_time

from boards.host.frames import FIRST_BAUD
from sim.benches.commands import read_job, serve

BYTE_BITS = 8


class Pins:
    """The other end of the wires.

    Parameters
    ----------
    dut
        Handle of the top: ``oscillator``, ``rx``, ``tx``.
    clock_hz : int
    """

    def __init__(self, dut: Any, clock_hz: int):
        self.dut = dut
        self.clock_hz = clock_hz
        self.cycle_ns = 1_000_000_000 // clock_hz
        self.bit_ns = 0
        self.to_send: deque[int] = deque()
        self.received = bytearray()
        self.something_to_send, self.all_sent, self.came = Event(), Event(), Event()

    async def power_on(self) -> None:
        """Start the clock and both directions."""
        self.dut.rx.value = 1
        await self.baud(FIRST_BAUD)
        Clock(self.dut.oscillator, self.cycle_ns, "ns", impl="gpi").start()
        cocotb.start_soon(self._send())
        cocotb.start_soon(self._receive())
        await Timer(100 * self.cycle_ns, "ns")  # until the loop is locked, and resets are over

    async def write(self, content: str) -> None:
        """Send bytes; returns before they have left."""
        self.to_send.extend(bytes.fromhex(content))
        self.all_sent.clear()
        self.something_to_send.set()

    async def read(self, limit_s: float) -> str:
        """Return what has come, at least a byte; nothing if none comes within the limit."""
        if not self.received:
            self.came.clear()
            await First(self.came.wait(), Timer(max(1, round(limit_s * 1e9)), "ns"))
        content = self.received.hex()
        self.received.clear()
        return content

    async def baud(self, baud: int) -> None:
        """Change the rate once everything has left, and the last stop bit that came is over."""
        if self.to_send:
            await self.all_sent.wait()
        if self.bit_ns:
            await Timer(self.bit_ns, "ns")
        self.bit_ns = round(self.clock_hz / baud) * self.cycle_ns

    async def pause(self, seconds: float) -> None:
        """Let time pass."""
        await Timer(max(1, round(seconds * 1e9)), "ns")

    async def output(self, name: str) -> int:
        """Return an output's value."""
        return int(getattr(self.dut, name).value)

    async def _send(self) -> None:
        while True:
            await self.something_to_send.wait()
            while self.to_send:
                byte = self.to_send[0]
                for bit in (0, *(byte >> i & 1 for i in range(BYTE_BITS)), 1):
                    self.dut.rx.value = bit
                    await Timer(self.bit_ns, "ns")
                self.to_send.popleft()
            self.something_to_send.clear()
            self.all_sent.set()

    async def _receive(self) -> None:
        tx = self.dut.tx
        while not int(tx.value):
            await RisingEdge(tx)
        while True:
            await FallingEdge(tx)
            await Timer(self.bit_ns * 3 // 2, "ns")
            byte = 0
            for bit in range(BYTE_BITS):
                byte |= int(tx.value) << bit
                await Timer(self.bit_ns, "ns")
            if int(tx.value):  # without a stop bit it was no byte
                self.received.append(byte)
                self.came.set()


@cocotb.test()
async def pins(dut: Any) -> None:
    """Do what is asked for, until the driver closes its end."""
    job = read_job()
    pins = Pins(dut, job["clock_hz"])
    await pins.power_on()
    commands = {
        "write": pins.write,
        "read": pins.read,
        "baud": pins.baud,
        "pause": pins.pause,
        "output": pins.output,
    }
    await serve(job, commands, lambda: get_sim_time("ns"))
