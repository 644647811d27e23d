"""Decisions about requests on a serial link: which are new, which are allowed; its bit period."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from boards.host.frames import (
    ALIGNMENT,
    BIT_PERIOD,
    CLOCK_HZ,
    FALLBACK_S,
    LAST_BIT,
    LIGHTS,
    MEMORY_BYTES,
    OPEN_BIT,
    PERIOD_MIN,
    REGISTERS,
    VERSION,
    LinkOperation,
    LinkStatus,
    first_period,
)
from rtl.isa.registers import LITE_ADDRESS_BITS, WORD_BYTES
from rtl.soc.requests import FrameHeader, has_payload
from rtl.soc.uart import PERIOD_BITS

STATUS_BITS = 8
SEQUENCE_BITS = 8


class RequestRules(wiring.Component):
    """The order of requests, and the ranges of their addresses and values.

    Parameters
    ----------
    memory_bytes : int

    Members
    -------
    request : In(FrameHeader)
    take : In(1)
        The request is taken in this cycle, or refused for what ``status`` says.
    status : Out(8)
        OK, CLOSED, ORDER, OPERATION or RANGE.
    acts : Out(1)
        It is no repetition.
    value : Out(32)
        The answer's value, where the request is not executed.

    Source: docs/serial.md, "Sequence".
    """

    def __init__(self, memory_bytes: int):
        self.memory_bytes = memory_bytes
        super().__init__(
            {
                "request": In(FrameHeader),
                "take": In(1),
                "status": Out(STATUS_BITS),
                "acts": Out(1),
                "value": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        request = self.request
        opened, last = Signal(), Signal(SEQUENCE_BITS)
        asks, opens = Signal(), Signal()
        follows, repeats = Signal(), Signal()
        m.d.comb += [
            asks.eq(request.operation == LinkOperation.STATE),
            opens.eq(request.operation == LinkOperation.SYNC),
            follows.eq(request.sequence == (last + 1)[:SEQUENCE_BITS]),
            repeats.eq(request.sequence == last),
            self.acts.eq(~repeats),
            self.value.eq(request.value),
        ]
        with m.If(asks):
            state = Cat(Const(VERSION, OPEN_BIT), opened)
            m.d.comb += self.value.eq(state | (last << LAST_BIT))
        with m.Elif(opens):
            with m.If(self.take):
                m.d.sync += [opened.eq(1), last.eq(request.sequence)]
        with m.Elif(~opened):
            m.d.comb += self.status.eq(LinkStatus.CLOSED)
        with m.Elif(~follows & ~repeats):
            m.d.comb += [self.status.eq(LinkStatus.ORDER), self.value.eq(last)]
        with m.Else():
            m.d.comb += self.status.eq(self._status())
            with m.If(self.take):
                m.d.sync += last.eq(request.sequence)
        return m

    def _status(self) -> Value:
        """OK, OPERATION or RANGE."""
        request = self.request
        allowed = {
            LinkOperation.READ32: is_register(request) | is_own(request),
            LinkOperation.WRITE32: is_register(request) | (request.address == LIGHTS),
            LinkOperation.READ_BLOCK: has_payload(request) & self._is_memory(),
            LinkOperation.WRITE_BLOCK: has_payload(request) & self._is_memory(),
            LinkOperation.CRC: (request.value != 0) & self._is_memory(),
            LinkOperation.PERIOD: is_period(request.value),
        }
        status = Const(LinkStatus.OPERATION, STATUS_BITS)
        for operation, fine in allowed.items():
            found = Mux(fine, Const(LinkStatus.OK, STATUS_BITS), LinkStatus.RANGE)
            status = Mux(request.operation == operation, found, status)
        return status

    def _is_memory(self) -> Value:
        """Whether a block is aligned and lies in memory."""
        first, count = self.request.address, self.request.value
        aligned = (first | count)[: exact_log2(ALIGNMENT)] == 0
        return aligned & (first + count <= self.memory_bytes)


def is_register(request: FrameHeader) -> Value:
    """Whether the address is that of one of the engine's registers."""
    address = request.address
    aligned = address[: exact_log2(WORD_BYTES)] == 0
    return aligned & (address[LITE_ADDRESS_BITS:] == REGISTERS >> LITE_ADDRESS_BITS)


def is_own(request: FrameHeader) -> Value:
    """Whether the address is that of one of the bridge's registers."""
    return Cat(request.address == own for own in (CLOCK_HZ, MEMORY_BYTES, BIT_PERIOD, LIGHTS)).any()


def is_period(value: Value) -> Value:
    """Whether a bit period is possible; 0 is the first one."""
    return (value[PERIOD_BITS:] == 0) & ((value == 0) | (value >= PERIOD_MIN))


class BitPeriod(wiring.Component):
    """The bit period: the first one, one that was asked for, and the first one after a second.

    Parameters
    ----------
    clock_hz : int

    Members
    -------
    heard : In(1)
        A good request came.
    change : In(1)
        Take over ``value``.
    value : In(16)
        Cycles per bit; 0 for the first one.
    period : Out(16)

    Source: docs/serial.md, "Bit period".
    """

    def __init__(self, clock_hz: int):
        self.first = first_period(clock_hz)
        self.fallback_cycles = round(clock_hz * FALLBACK_S)
        super().__init__(
            {
                "heard": In(1),
                "change": In(1),
                "value": In(PERIOD_BITS),
                "period": Out(PERIOD_BITS, init=self.first),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left = Signal(ceil_log2(self.fallback_cycles), init=self.fallback_cycles - 1)
        m.d.sync += left.eq(Mux(self.heard, self.fallback_cycles - 1, left - 1))
        with m.If(left == 0):
            m.d.sync += [left.eq(self.fallback_cycles - 1), self.period.eq(self.first)]
        with m.If(self.change):
            m.d.sync += self.period.eq(Mux(self.value == 0, self.first, self.value))
        return m
