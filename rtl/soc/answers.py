"""Answers to bytes: a header, its check sum, and perhaps a payload with its own."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from boards.host.frames import CHECK_BYTES, FIELDS
from rtl.soc.requests import COUNT_BITS, CRC32, FrameHeader


class FrameSender(wiring.Component):
    """One frame after the other, byte by byte.

    Members
    -------
    i : In(stream of FrameHeader)
        Taken when all of the frame has left; constant until then.
    payload_bytes : In
        Bytes of the payload, 0 where there is none; constant like ``i``.
    payload : In(stream of 8 bits)
    o : Out(stream of 8 bits)

    Source: docs/serial.md.
    """

    i: In(stream.Signature(FrameHeader))
    payload_bytes: In(COUNT_BITS)
    payload: In(stream.Signature(8))
    o: Out(stream.Signature(8))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = CRC32.create()
        count, moves, payload = Signal(COUNT_BITS), Signal(), Signal()
        length, last = Signal(COUNT_BITS), Signal()  # of header, payload or sum; its last byte
        header = self.i.p.as_value()
        m.d.comb += moves.eq(self.o.valid & self.o.ready)
        m.d.sync += [crc.data.eq(self.o.p), crc.valid.eq(0), crc.start.eq(0)]
        with m.If(moves):
            m.d.sync += [count.eq(count + 1), last.eq(count + 2 == length)]
        with m.FSM():
            with m.State("CONTENT"):
                m.d.comb += [
                    length.eq(Mux(payload, self.payload_bytes, FIELDS.size)),
                    self.o.valid.eq(Mux(payload, self.payload.valid, self.i.valid)),
                    self.o.p.eq(Mux(payload, self.payload.p, header.word_select(count[:4], 8))),
                    self.payload.ready.eq(payload & self.o.ready),
                ]
                m.d.sync += [crc.valid.eq(moves), crc.start.eq(count == 0)]
                with m.If(moves & last):
                    m.d.sync += [count.eq(0), last.eq(0)]
                    m.next = "SUM"
            with m.State("SUM"):
                m.next = "CHECK"
            with m.State("CHECK"):
                m.d.comb += [
                    length.eq(CHECK_BYTES),
                    self.o.valid.eq(1),
                    self.o.p.eq(crc.crc.word_select(count[:2], 8)),
                ]
                with m.If(moves & last):
                    m.d.sync += [count.eq(0), last.eq(self.payload_bytes == 1), payload.eq(1)]
                    m.next = "CONTENT"
                    with m.If(payload | (self.payload_bytes == 0)):
                        m.next = "SENT"
            with m.State("SENT"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [payload.eq(0), last.eq(0)]
                m.next = "CONTENT"
        return m
