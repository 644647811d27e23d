"""cocotb: a network over the two wires of a SerialSystem, from SYNC to logits.

The job comes from the file in ``PULSAR_JOB``; the result goes beside it.
"""

import json
import os
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.queue import Queue
from cocotb.triggers import ClockCycles, FallingEdge, Timer, with_timeout

from boards.host.frames import (
    ANSWER,
    HEADER_BYTES,
    PAYLOAD_MAX,
    REGISTERS,
    REQUEST,
    Header,
    LinkOperation,
    LinkStatus,
    checked,
    decode,
    unchecked,
)
from rtl.isa.registers import CONTROL_BITS, OFFSETS, STATUS_BITS
from rtl.isa.registers import REGISTERS as TABLE

CYCLE_NS = 20
PERIOD = 4  # cycles per bit
BIT_NS = PERIOD * CYCLE_NS
ANSWER_NS = 100_000_000
WORDS = {register.name: register.words for register in TABLE}


class SerialPins:
    """The host's end of the wires."""

    def __init__(self, dut):
        self.dut = dut
        self.received: Queue[int] = Queue()
        self.sequence = 0

    async def power_on(self):
        """Start clock and receiver, reset."""
        dut = self.dut
        dut.rx.value, dut.rst.value = 1, 1
        Clock(dut.clk, CYCLE_NS, "ns", impl="gpi").start()
        await ClockCycles(dut.clk, 4)
        dut.rst.value = 0
        await ClockCycles(dut.clk, 4)
        cocotb.start_soon(self._receive())

    async def _receive(self):
        tx = self.dut.tx
        while True:
            await FallingEdge(tx)
            await Timer(BIT_NS * 3 // 2, "ns")
            byte = 0
            for bit in range(8):
                byte |= int(tx.value) << bit
                await Timer(BIT_NS, "ns")
            assert int(tx.value), "no stop bit"
            self.received.put_nowait(byte)

    async def _send(self, content):
        for byte in content:
            for bit in (0, *(byte >> i & 1 for i in range(8)), 1):
                self.dut.rx.value = bit
                await Timer(BIT_NS, "ns")

    async def _bytes(self, count):
        return bytes(
            [await with_timeout(self.received.get(), ANSWER_NS, "ns") for _ in range(count)]
        )

    async def ask(self, operation, address=0, value=0, payload=b""):
        """Value and payload of the answer to one request, which must be OK."""
        self.sequence = (self.sequence + 1) % 256
        header = Header(REQUEST, self.sequence, operation, 0, address, value)
        await self._send(header.encode() + (checked(payload) if payload else b""))
        answer = decode(await self._bytes(HEADER_BYTES))
        assert answer is not None
        assert (answer.mark, answer.status) == (ANSWER, LinkStatus.OK), answer
        assert (answer.sequence, answer.operation) == (self.sequence, operation)
        content = b""
        if answer.payload_bytes:
            content = unchecked(await self._bytes(answer.payload_bytes + 4))
            assert content is not None
        return answer.value, content

    async def put(self, address, content):
        """Write memory, whole words."""
        for start in range(0, len(content), PAYLOAD_MAX):
            part = content[start : start + PAYLOAD_MAX]
            await self.ask(LinkOperation.WRITE_BLOCK, address + start, len(part), part)

    async def get(self, address, count):
        """Read memory, whole words."""
        parts = [
            (await self.ask(LinkOperation.READ_BLOCK, at, min(PAYLOAD_MAX, address + count - at)))[
                1
            ]
            for at in range(address, address + count, PAYLOAD_MAX)
        ]
        return b"".join(parts)

    async def write(self, name, value):
        """Write a register, all its words."""
        for part in range(WORDS[name]):
            word = value >> 32 * part & 0xFFFFFFFF
            await self.ask(LinkOperation.WRITE32, REGISTERS + OFFSETS[name] + 4 * part, word)

    async def read(self, name):
        """Read a register, all its words."""
        words = [
            (await self.ask(LinkOperation.READ32, REGISTERS + OFFSETS[name] + 4 * part))[0]
            for part in range(WORDS[name])
        ]
        return sum(word << 32 * part for part, word in enumerate(words))


@cocotb.test()
async def network(dut):
    """Load a model, run the job's images, read the outputs."""
    path = Path(os.environ["PULSAR_JOB"])
    job = json.loads(path.read_text())
    memory = Path(job["memory"]).read_bytes()
    pins = SerialPins(dut)
    await pins.power_on()
    await pins.ask(LinkOperation.SYNC)
    await pins.put(0, memory)
    checksum, _ = await pins.ask(LinkOperation.CRC, 0, len(memory))
    for name, value in job["registers"].items():
        await pins.write(name, value)
    await pins.write("control", 1 << CONTROL_BITS.index("start"))
    while not (status := await pins.read("status")) >> STATUS_BITS.index("done") & 1:
        pass
    result = {
        "checksum": checksum,
        "identity": await pins.read("identity"),
        "engine": await pins.read("engine"),
        "error": status >> STATUS_BITS.index("error") & 1,
        "cycles_first": await pins.read("cycles_first"),
        "output": (await pins.get(*job["output"])).hex(),
    }
    path.with_name("result.json").write_text(json.dumps(result))
