"""Requests out of a serial line's bytes: header and payload, with their check sums."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from boards.host.frames import (
    ALIGNMENT,
    CHECK_BYTES,
    FIELDS,
    HEADER_BYTES,
    PAYLOAD_MAX,
    REQUEST,
    LinkOperation,
)
from rtl.soc.line import LineByte

CRC32 = CRC32_ISO_HDLC(data_width=8)
COUNT_BITS = PAYLOAD_MAX.bit_length()
STATUS_BYTE = 3


class FrameHeader(data.Struct):
    """Fields of a request or an answer, without their check sum: boards.host.frames.Header."""

    mark: 8
    sequence: 8
    operation: 8
    status: 8
    address: 32
    value: 32


def has_payload(header: FrameHeader) -> Value:
    """Whether the value is a possible length of a payload."""
    count = header.value
    whole = count[: exact_log2(ALIGNMENT)] == 0
    return whole & (count != 0) & (count <= PAYLOAD_MAX)


class FrameReceiver(wiring.Component):
    """Bytes to requests. Damaged ones vanish, and all bytes behind them until there was silence.

    Members
    -------
    i : In(stream of LineByte)
        Not taken while a request waits at ``o``.
    o : Out(stream of FrameHeader)
        A request whose check sums are right. A WRITE_BLOCK of an impossible length comes without
        its payload.
    payload_valid, payload_index, payload_byte : Out
        The bytes of a WRITE_BLOCK's payload, as they come. They count when the request is at ``o``.

    Source: docs/serial.md.
    """

    i: In(stream.Signature(LineByte))
    o: Out(stream.Signature(FrameHeader))
    payload_valid: Out(1)
    payload_index: Out(range(PAYLOAD_MAX))
    payload_byte: Out(8)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = CRC32.create()
        header, count = Signal(FrameHeader), Signal(range(PAYLOAD_MAX + CHECK_BYTES + 1))
        writes = header.operation == LinkOperation.WRITE_BLOCK
        listens, restarts, takes = Signal(), Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(listens & ~restarts),
            takes.eq(self.i.valid & self.i.ready),
            crc.data.eq(self.i.p.byte),
            crc.start.eq(count == 0),
            crc.valid.eq(takes),
            self.o.p.eq(header),
            self.payload_valid.eq(takes & (count < header.value)),
            self.payload_index.eq(count),
            self.payload_byte.eq(self.i.p.byte),
        ]
        with m.If(takes):
            m.d.sync += count.eq(count + 1)
        with m.FSM():
            with m.State("HEADER"):
                m.d.comb += [listens.eq(1), restarts.eq(self.i.p.fresh & (count != 0))]
                self._restart(m, restarts, count)
                with m.If(takes & (count < FIELDS.size)):
                    m.d.sync += header.eq(Cat(header.as_value()[8:], self.i.p.byte))
                with m.If(takes & self._is_garbage(count)):
                    m.next = "IGNORE"
                with m.Elif(takes & (count == HEADER_BYTES - 1)):
                    m.next = "HEADER_COMPLETE"
            with m.State("HEADER_COMPLETE"):
                m.d.sync += count.eq(0)
                with m.If(~crc.match_detected):
                    m.next = "IGNORE"
                with m.Elif(writes & has_payload(header)):
                    m.next = "PAYLOAD"
                with m.Else():
                    m.next = "REQUEST"
            with m.State("PAYLOAD"):
                m.d.comb += [listens.eq(1), restarts.eq(self.i.p.fresh)]
                self._restart(m, restarts, count)
                with m.If(takes & self.i.p.broken):
                    m.next = "IGNORE"
                with m.Elif(takes & (count == header.value[:COUNT_BITS] + CHECK_BYTES - 1)):
                    m.next = "PAYLOAD_COMPLETE"
            with m.State("PAYLOAD_COMPLETE"):
                m.next = "REQUEST"
                with m.If(~crc.match_detected):
                    m.next = "IGNORE"
            with m.State("REQUEST"):
                m.d.comb += self.o.valid.eq(1)
                m.d.sync += count.eq(0)
                with m.If(self.o.ready):
                    m.next = "HEADER"
                    with m.If(writes & ~has_payload(header)):
                        m.next = "IGNORE"
            with m.State("IGNORE"):
                m.d.comb += [listens.eq(1), restarts.eq(self.i.p.fresh)]
                self._restart(m, restarts, count)
        return m

    def _restart(self, m: Module, restarts: Signal, count: Signal) -> None:
        """Begin a new frame with the byte at ``i``, which waits for it."""
        with m.If(self.i.valid & restarts):
            m.d.sync += count.eq(0)
            m.next = "HEADER"

    def _is_garbage(self, count: Signal) -> Value:
        """Whether the byte at ``i`` says at once that this is no header."""
        came = self.i.p
        wrong_mark = (count == 0) & (came.byte != REQUEST)
        return came.broken | wrong_mark | ((count == STATUS_BYTE) & (came.byte != 0))
