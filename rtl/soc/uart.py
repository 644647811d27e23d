"""Bytes over a serial line, 8N1: a receiver and a transmitter whose bit period may change."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

PERIOD_BITS = 16
BYTE_BITS = 8
FRAME_BITS = BYTE_BITS + 2  # with start and stop bit


class UartReceiver(wiring.Component):
    """The line to bytes, the lowest bit first. There is no flow control on a line, nor here.

    Every bit is sampled in its middle, counted from the first edge of the start bit.

    Members
    -------
    pin : In(1)
        The line, in no relation to the clock.
    period : In(16)
        Cycles per bit, at least 4.
    starts : Out(1)
        A byte begins in this cycle.
    valid : Out(1)
        A byte is complete, for one cycle.
    byte : Out(8)
    broken : Out(1)
        Its stop bit was 0.
    """

    pin: In(1, init=1)
    period: In(PERIOD_BITS)
    starts: Out(1)
    valid: Out(1)
    byte: Out(BYTE_BITS)
    broken: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        level = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.pin, level, init=1)
        busy, sample = Signal(), Signal()
        timer, bits = Signal(PERIOD_BITS), Signal(range(FRAME_BITS))
        m.d.comb += [self.starts.eq(~busy & ~level), sample.eq(busy & (timer == 0))]
        m.d.sync += [timer.eq(timer - 1), self.valid.eq(0)]
        with m.If(self.starts):
            m.d.sync += [busy.eq(1), bits.eq(0), timer.eq((self.period >> 1) - 1)]
        with m.If(sample):
            m.d.sync += [timer.eq(self.period - 1), bits.eq(bits + 1)]
            with m.If(bits == 0):
                m.d.sync += busy.eq(~level)  # else it was no start bit
            with m.Elif(bits == FRAME_BITS - 1):
                m.d.sync += [busy.eq(0), self.valid.eq(1), self.broken.eq(~level)]
            with m.Else():
                m.d.sync += self.byte.eq(Cat(self.byte[1:], level))
        return m


class UartTransmitter(wiring.Component):
    """Bytes to the line, one behind the other without a pause.

    Members
    -------
    i : In(stream of 8 bits)
    period : In(16)
        Cycles per bit; it may change while ``idle``.
    pin : Out(1)
    idle : Out(1)
        The last stop bit is over.
    """

    i: In(stream.Signature(BYTE_BITS))
    period: In(PERIOD_BITS)
    pin: Out(1, init=1)
    idle: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timer, left = Signal(PERIOD_BITS), Signal(range(FRAME_BITS + 1))
        rest = Signal(FRAME_BITS - 1, init=-1)  # bits behind the one on the line
        due = timer == 0
        m.d.comb += [self.idle.eq(left == 0), self.i.ready.eq(self.idle | (due & (left == 1)))]
        with m.If(~due):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(~self.idle):
            m.d.sync += [
                left.eq(left - 1),
                timer.eq(self.period - 1),
                Cat(self.pin, rest).eq(Cat(rest, 1)),
            ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                left.eq(FRAME_BITS),
                timer.eq(self.period - 1),
                Cat(self.pin, rest).eq(Cat(0, self.i.p, 1)),
            ]
        return m
