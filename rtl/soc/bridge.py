"""A bridge from a serial line to the engine's registers and memory."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from boards.host.frames import (
    ANSWER,
    CLOCK_HZ,
    LIGHTS,
    LIGHTS_BITS,
    MEMORY_BYTES,
    PAYLOAD_MAX,
    LinkOperation,
    LinkStatus,
)
from rtl.lib.streams import connect
from rtl.memory.axi import Axi4Lite
from rtl.soc.answers import FrameSender
from rtl.soc.blocks import WORD_BYTES, WORDS, BlockReader, BlockWriter, WordPort
from rtl.soc.line import SerialLine
from rtl.soc.lite import LiteManager
from rtl.soc.requests import COUNT_BITS, CRC32, FrameReceiver
from rtl.soc.rules import STATUS_BITS, BitPeriod, RequestRules, is_register


class _Pending:
    """Registers of the request that is answered.

    Attributes
    ----------
    status, value, acts : Signal
        Status and value of the answer; whether the request is a new one, no repetition.
    reads, payload_bytes : Signal
        Whether a block is read for the answer, and its bytes or 0; a cycle behind ``status``.
    is_read : Signal
        Whether the block was read to its end, so that its CRC-32 follows.
    refused : Signal
        Whether the bus refused the last write of a register.
    """

    def __init__(self) -> None:
        self.status = Signal(STATUS_BITS)
        self.value = Signal(32)
        self.acts = Signal()
        self.reads = Signal()
        self.payload_bytes = Signal(COUNT_BITS)
        self.is_read = Signal()
        self.refused = Signal()


class SerialBridge(wiring.Component):
    """Takes requests from a serial line, one after the other, and answers each of them.

    ::

        rx ─► line ─► receiver ─► rules ─► registers (AXI4-Lite), reader, writer (memory)
                         └─► payload ─────────────────────────────────────┘
        tx ◄─ line ◄─ sender ◄─ status, value, bytes of the reader

    Parameters
    ----------
    clock_hz : int
        Of the clock that this runs at.
    memory_words : int
        Words of 16 bytes.

    Members
    -------
    rx : In(1)
    tx : Out(1)
    lights : Out(8)
        What the host wants to be lit.
    registers : Out(Axi4Lite)
    memory : Out(WordPort)

    Raises
    ------
    ValueError
        If a memory has more words than an address of a WordPort tells apart.

    Source: docs/serial.md. Reference: tests/boards/host/bridge.py.
    """

    def __init__(self, clock_hz: int, memory_words: int):
        if memory_words > WORDS:
            raise ValueError(f"memory_words must be at most {WORDS}, not {memory_words}")
        self.clock_hz, self.memory_bytes = clock_hz, WORD_BYTES * memory_words
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "lights": Out(LIGHTS_BITS),
                "registers": Out(Axi4Lite()),
                "memory": Out(WordPort()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.line = self.line = line = SerialLine()
        m.submodules.receiver = self.receiver = receiver = FrameReceiver()
        m.submodules.rules = self.rules = rules = RequestRules(self.memory_bytes)
        m.submodules.period = self.period = period = BitPeriod(self.clock_hz)
        m.submodules.lite = self.lite = lite = LiteManager()
        m.submodules.reader = self.reader = reader = BlockReader()
        m.submodules.writer = self.writer = writer = BlockWriter()
        m.submodules.sender = self.sender = sender = FrameSender()
        m.submodules.crc = self.crc = crc = CRC32.create()
        connect(m, producer=line.received, consumer=receiver.i)
        connect(m, producer=sender.o, consumer=line.sent)
        connect(m, producer=lite.bus, consumer=wiring.flipped(self.registers))
        request = receiver.o.p
        m.d.comb += [
            line.rx.eq(self.rx),
            self.tx.eq(line.tx),
            line.period.eq(period.period),
            period.value.eq(request.value),
            rules.request.eq(request),
            lite.i.p.write.eq(request.operation == LinkOperation.WRITE32),
            lite.i.p.address.eq(request.address),
            lite.i.p.value.eq(request.value),
            crc.data.eq(reader.o.p),
            reader.word.eq(self.memory.read_data),
            self.memory.write_enable.eq(writer.write_enable),
            self.memory.write_data.eq(writer.write_data),
            self.memory.address.eq(Mux(writer.write_enable, writer.address, reader.address)),
        ]
        for blocks in (reader, writer):
            m.d.comb += [
                blocks.i.p.first.eq(request.address >> exact_log2(WORD_BYTES)),
                blocks.i.p.words.eq(request.value >> exact_log2(WORD_BYTES)),
            ]
        self._keep_payload(m)
        self._answer(m)
        return m

    def _keep_payload(self, m: Module) -> None:
        """The receiver's payload in a memory of its own, until the writer asks for it."""
        m.submodules.payload = payload = Memory(shape=8, depth=PAYLOAD_MAX, init=[])
        write, read = payload.write_port(), payload.read_port()
        m.d.comb += [
            write.en.eq(self.receiver.payload_valid),
            write.addr.eq(self.receiver.payload_index),
            write.data.eq(self.receiver.payload_byte),
            read.en.eq(1),
            read.addr.eq(self.writer.index),
            self.writer.byte.eq(read.data),
        ]

    def _answer(self, m: Module) -> None:
        """Decide, act, answer; then take the request from the receiver."""
        pending, sender = _Pending(), self.sender
        m.d.comb += [
            sender.i.p.eq(self.receiver.o.p),
            sender.i.p.mark.eq(ANSWER),
            sender.i.p.status.eq(pending.status),
            sender.i.p.value.eq(pending.value),
            sender.payload_bytes.eq(pending.payload_bytes),
        ]
        request = self.receiver.o.p
        is_block = request.operation == LinkOperation.READ_BLOCK
        reads = is_block & (pending.status == LinkStatus.OK)
        m.d.sync += [
            pending.reads.eq(reads),
            pending.payload_bytes.eq(Mux(reads, request.value, 0)),
        ]
        with m.FSM():
            with m.State("REQUEST"):
                self._decide(m, pending)
            with m.State("ACT"):
                self._act(m, pending)
            with m.State("REGISTER"):
                self._use_register(m, pending)
            with m.State("WRITE"):
                m.d.comb += self.writer.i.valid.eq(1)
                with m.If(self.writer.i.ready):
                    m.next = "ANSWER"
            with m.State("CHECK"):
                self._check(m, pending)
            with m.State("ANSWER"):
                self._send(m, pending)
            with m.State("SENT"):
                self._finish(m, pending)

    def _decide(self, m: Module, pending: _Pending) -> None:
        """Take over what the rules say of a request."""
        m.d.sync += [
            pending.status.eq(self.rules.status),
            pending.value.eq(self.rules.value),
            pending.acts.eq(self.rules.acts),
        ]
        with m.If(self.receiver.o.valid):
            m.d.comb += [self.rules.take.eq(1), self.period.heard.eq(1)]
            m.next = "ACT"

    def _act(self, m: Module, pending: _Pending) -> None:
        """Do what has no state of its own, and choose the next state."""
        request = self.receiver.o.p
        m.d.comb += self.crc.start.eq(1)
        m.next = "ANSWER"
        with m.If(pending.status == LinkStatus.OK), m.Switch(request.operation):
            with m.Case(LinkOperation.READ32):
                m.d.sync += pending.value.eq(self._own_register())
                with m.If(is_register(request)):
                    m.next = "REGISTER"
            with m.Case(LinkOperation.WRITE32):
                m.d.sync += pending.status.eq(Mux(pending.refused, LinkStatus.BUS, LinkStatus.OK))
                with m.If(~is_register(request)):
                    m.d.sync += [pending.status.eq(LinkStatus.OK), self.lights.eq(request.value)]
                with m.Elif(pending.acts):
                    m.d.sync += pending.status.eq(LinkStatus.OK)
                    m.next = "REGISTER"
            with m.Case(LinkOperation.WRITE_BLOCK):
                with m.If(pending.acts):
                    m.next = "WRITE"
            with m.Case(LinkOperation.CRC):
                m.next = "CHECK"

    def _use_register(self, m: Module, pending: _Pending) -> None:
        """Read or write a register of the engine."""
        m.d.comb += self.lite.i.valid.eq(1)
        with m.If(self.lite.i.ready):
            m.d.sync += pending.status.eq(Mux(self.lite.error, LinkStatus.BUS, LinkStatus.OK))
            with m.If(self.receiver.o.p.operation == LinkOperation.WRITE32):
                m.d.sync += pending.refused.eq(self.lite.error)
            with m.Elif(~self.lite.error):
                m.d.sync += pending.value.eq(self.lite.value)
            m.next = "ANSWER"

    def _check(self, m: Module, pending: _Pending) -> None:
        """Form the CRC-32 of a block of memory."""
        m.d.comb += [
            self.reader.i.valid.eq(1),
            self.reader.o.ready.eq(1),
            self.crc.valid.eq(self.reader.o.valid),
        ]
        with m.If(self.reader.i.ready):
            m.d.sync += pending.value.eq(self.crc.crc)
            m.next = "ANSWER"

    def _send(self, m: Module, pending: _Pending) -> None:
        """Send the answer, with a block of memory behind it if that was asked for."""
        sender, reads = self.sender, pending.reads
        m.d.comb += [
            sender.i.valid.eq(1),
            sender.payload.p.eq(self.reader.o.p),
            sender.payload.valid.eq(reads & self.reader.o.valid),
            self.reader.i.valid.eq(reads & ~pending.is_read),
            self.reader.o.ready.eq(sender.payload.ready),
        ]
        with m.If(self.reader.i.ready):
            m.d.sync += pending.is_read.eq(1)
        with m.If(sender.i.ready):
            m.next = "SENT"

    def _finish(self, m: Module, pending: _Pending) -> None:
        """Change the bit period once the answer is out; make room for the next request."""
        is_period = self.receiver.o.p.operation == LinkOperation.PERIOD
        changes = is_period & pending.acts & (pending.status == LinkStatus.OK)
        m.d.sync += pending.is_read.eq(0)
        with m.If(~changes | self.line.idle):
            m.d.comb += [self.period.change.eq(changes), self.receiver.o.ready.eq(1)]
            m.next = "REQUEST"

    def _own_register(self) -> Value:
        """The bridge's register at the request's address."""
        address = self.receiver.o.p.address
        values = {
            CLOCK_HZ: self.clock_hz,
            MEMORY_BYTES: self.memory_bytes,
            LIGHTS: self.lights,
        }
        found = self.period.period
        for own, value in values.items():
            found = Mux(address == own, value, found)
        return found
