"""The serial line as a bridge sees it: bytes in a queue, with what silence says about them."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from boards.host.frames import SILENCE_BITS
from rtl.lib.streams import Queue, connect
from rtl.soc.uart import BYTE_BITS, PERIOD_BITS, UartReceiver, UartTransmitter


class LineByte(data.Struct):
    """A byte that came: ``broken`` without a stop bit, ``fresh`` as the first one after silence."""

    byte: BYTE_BITS
    broken: 1
    fresh: 1


class SerialLine(wiring.Component):
    """Receiver, transmitter, and a queue of what was received.

    Silence lasts ``SILENCE_BITS`` bit periods in which no byte begins. It is noticed as bytes come,
    and stands in the queue beside the byte that ended it. A byte that finds the queue full is lost.

    Members
    -------
    rx : In(1)
    tx : Out(1)
    period : In(16)
        Cycles per bit.
    received : Out(stream of LineByte)
    sent : In(stream of 8 bits)
    idle : Out(1)
        Nothing is being sent.

    Source: docs/serial.md, "Silence" and "More than one request at a time".
    """

    DEPTH = 128

    rx: In(1, init=1)
    tx: Out(1, init=1)
    period: In(PERIOD_BITS)
    received: Out(stream.Signature(LineByte))
    sent: In(stream.Signature(BYTE_BITS))
    idle: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = UartReceiver()
        m.submodules.transmitter = transmitter = UartTransmitter()
        m.submodules.queue = queue = Queue(LineByte, self.DEPTH)
        connect(m, producer=queue.o, consumer=wiring.flipped(self.received))
        connect(m, producer=wiring.flipped(self.sent), consumer=transmitter.i)
        silent, fresh = self._silence(m, receiver.starts), Signal(init=1)
        m.d.comb += [
            receiver.pin.eq(self.rx),
            self.tx.eq(transmitter.pin),
            self.idle.eq(transmitter.idle),
            receiver.period.eq(self.period),
            transmitter.period.eq(self.period),
            queue.i.valid.eq(receiver.valid),
            queue.i.p.byte.eq(receiver.byte),
            queue.i.p.broken.eq(receiver.broken),
            queue.i.p.fresh.eq(fresh),
        ]
        with m.If(receiver.valid):
            m.d.sync += fresh.eq(0)
        with m.If(silent):
            m.d.sync += fresh.eq(1)
        return m

    def _silence(self, m: Module, starts: Signal) -> Signal:
        """A signal that is 1 in the cycle in which silence is complete."""
        timer, bits = Signal(PERIOD_BITS), Signal(range(SILENCE_BITS + 1))
        silent = Signal()
        m.d.sync += timer.eq(Mux(timer == 0, self.period - 1, timer - 1))
        m.d.comb += silent.eq((timer == 0) & (bits == SILENCE_BITS - 1) & ~starts)
        with m.If(starts):
            m.d.sync += [timer.eq(self.period - 1), bits.eq(0)]
        with m.Elif((timer == 0) & (bits != SILENCE_BITS)):
            m.d.sync += bits.eq(bits + 1)
        return silent
