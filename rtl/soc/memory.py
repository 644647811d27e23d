"""The model's memory on the chip: block RAM behind AXI4, with a second port for the host."""

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from rtl.isa.registers import ADDRESS_BITS
from rtl.lib.pipeline import choose
from rtl.lib.streams import Queue, connect
from rtl.memory.axi import Axi4, Response
from rtl.soc.blocks import WORD_BITS, WORD_BYTES, WordPort

BANK_WORDS = 1024  # a bank is 8 of the ECP5's block RAMs, 16 bits wide
WAITING = 8  # bursts of reads that wait for the one before
BANK_BITS = exact_log2(BANK_WORDS)


class MemoryBank(wiring.Component):
    """``BANK_WORDS`` words with two ports, each of which reads or writes in a cycle.

    Parameters
    ----------
    init : sequence of int
        Words at the start; the rest is 0.

    Members
    -------
    bus_address : In
    bus_read : In(1)
    bus_write : In(16)
        By byte; nothing is read then.
    bus_write_data : In(128)
    bus_data : Out(128)
        What was read with the last ``bus_read``, from the cycle behind it.
    host_address, host_write, host_write_data, host_data
        Likewise, except that every cycle without a write reads.
    """

    def __init__(self, init: Sequence[int]):
        self.init = init
        super().__init__(
            {
                "bus_address": In(BANK_BITS),
                "bus_read": In(1),
                "bus_write": In(WORD_BYTES),
                "bus_write_data": In(WORD_BITS),
                "bus_data": Out(WORD_BITS),
                "host_address": In(BANK_BITS),
                "host_write": In(1),
                "host_write_data": In(WORD_BITS),
                "host_data": Out(WORD_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.words = words = memory.Memory(
            shape=WORD_BITS, depth=BANK_WORDS, init=self.init
        )
        bus_write, bus_read = words.write_port(granularity=8), words.read_port()
        host_write, host_read = words.write_port(), words.read_port()
        m.d.comb += [
            bus_write.addr.eq(self.bus_address),
            bus_write.data.eq(self.bus_write_data),
            bus_write.en.eq(self.bus_write),
            bus_read.addr.eq(self.bus_address),
            bus_read.en.eq(self.bus_read & ~self.bus_write.any()),
            self.bus_data.eq(bus_read.data),
            host_write.addr.eq(self.host_address),
            host_write.data.eq(self.host_write_data),
            host_write.en.eq(self.host_write),
            host_read.addr.eq(self.host_address),
            host_read.en.eq(~self.host_write),
            self.host_data.eq(host_read.data),
        ]
        return m


class ReadBurst(data.Struct):
    """Channel AR of a burst: its first byte, and the number of beats behind the first one."""

    start: ADDRESS_BITS
    more: 8


class BurstPort(wiring.Component):
    """AXI4 bursts to words: a beat per cycle, bursts of reads one behind the other without a pause.

    A beat to write goes before one to read; a burst whose beats have not come yet delays nobody. A
    burst beyond the end is answered with DECERR and writes nothing.

    Parameters
    ----------
    words : int
        A multiple of a burst's.
    bus_bytes : int
        Of a beat: 16, or a part of a word.

    Members
    -------
    bus : In(Axi4(bus_bytes))
        Of one manager, whose bursts are of whole beats, incrementing, with ID 0.
    address : Out
    enable : Out(1)
        Read the word at ``address``.
    strobe : Out(16)
        Write bytes of it.
    word : In(128)
        What was read with the last ``enable``, from the cycle behind it.
    """

    def __init__(self, words: int, bus_bytes: int = WORD_BYTES):
        self.words, self.bus_bytes = words, bus_bytes
        self.part_bits = exact_log2(WORD_BYTES // bus_bytes)
        super().__init__(
            {
                "bus": In(Axi4(bus_bytes)),
                "address": Out(ceil_log2(words)),
                "enable": Out(1),
                "strobe": Out(WORD_BYTES),
                "word": In(WORD_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        writes, write_beat = self._write(m)
        read_beat = self._read(m, writes)
        m.d.comb += self.address.eq(Mux(writes, write_beat, read_beat) >> self.part_bits)
        return m

    def _beat(self) -> Signal:
        """Return a signal for the number of a beat, counted from the memory's start."""
        return Signal(len(self.address) + self.part_bits)

    def _write(self, m: Module) -> tuple[Signal, Signal]:
        """Channels AW, W and B: whether a beat is written in this cycle, and where."""
        bus = self.bus
        beat, outside = self._beat(), Signal()
        writing, writes = Signal(), Signal()
        strobe = bus.wstrb & (writes & ~outside).replicate(self.bus_bytes)
        m.d.comb += [
            bus.awready.eq(~writing & (~bus.bvalid | bus.bready)),
            bus.wready.eq(writing),
            writes.eq(writing & bus.wvalid),
            self.strobe.eq(strobe << self._part(beat) * self.bus_bytes),
        ]
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [writing.eq(1), *self._begin(bus.awaddr, beat, outside)]
        with m.If(writes):
            m.d.sync += beat.eq(beat + 1)
            with m.If(bus.wlast):
                m.d.sync += [writing.eq(0), bus.bvalid.eq(1), bus.bresp.eq(_response(outside))]
        return writes, beat

    def _read(self, m: Module, writes: Signal) -> Signal:
        """Channels AR and R; the address of the next beat.

        Addresses wait in a queue: the manager makes the next ones meanwhile.
        """
        bus = self.bus
        m.submodules.waiting = waiting = Queue(ReadBurst, WAITING)
        m.d.comb += [
            waiting.i.valid.eq(bus.arvalid),
            waiting.i.p.start.eq(bus.araddr),
            waiting.i.p.more.eq(bus.arlen),
            bus.arready.eq(waiting.i.ready),
        ]
        beat, outside = self._beat(), Signal()
        reading, left, moves = Signal(), Signal(8), Signal()
        m.d.comb += [
            moves.eq(~bus.rvalid | bus.rready),
            self.enable.eq(reading & moves & ~writes),
            waiting.o.ready.eq(~reading | (self.enable & (left == 0))),
        ]
        with m.If(self.enable):
            m.d.sync += [beat.eq(beat + 1), left.eq(left - 1), reading.eq(left != 0)]
        with m.If(waiting.o.valid & waiting.o.ready):
            m.d.sync += [
                reading.eq(1),
                left.eq(waiting.o.p.more),
                *self._begin(waiting.o.p.start, beat, outside),
            ]
        came, last, response = Signal(), Signal(), Signal.like(bus.rresp)
        part = Signal(max(1, self.part_bits))
        with m.If(moves):  # two registers: block RAM's, and the one on the bus
            m.d.sync += [
                came.eq(self.enable),
                last.eq(left == 0),
                part.eq(self._part(beat)),
                response.eq(_response(outside)),
                bus.rvalid.eq(came),
                bus.rlast.eq(last),
                bus.rresp.eq(response),
                bus.rdata.eq(self.word.word_select(part, len(bus.rdata))),
            ]
        return beat

    def _begin(self, start: Value, beat: Signal, outside: Signal) -> list:
        """Assignments that take over a burst's first byte."""
        word = start >> exact_log2(WORD_BYTES)
        return [beat.eq(start >> exact_log2(self.bus_bytes)), outside.eq(word >= self.words)]

    def _part(self, beat: Signal) -> Value:
        """Which part of its word a beat is."""
        return beat[: self.part_bits]


def _response(outside: Value) -> Value:
    return Mux(outside, Response.DECERR, Response.OKAY)


class BlockMemory(wiring.Component):
    """A memory of words of 16 bytes: AXI4 on one port, a host on the other.

    The first beat comes ``LATENCY`` cycles after its address, as a board's file counts them. What a
    port reads of a word that the other one is writing has no meaning.

    Parameters
    ----------
    words : int
        A multiple of ``BANK_WORDS``.
    init : sequence of int
        Words at the start; the rest is 0.
    bus_bytes : int
        As of BurstPort.

    Members
    -------
    bus : In(Axi4(bus_bytes))
        As of BurstPort.
    port : In(WordPort)

    Raises
    ------
    ValueError
        If ``words`` is no multiple of ``BANK_WORDS``.
    """

    LATENCY = 2 + Queue.LATENCY

    def __init__(self, words: int, init: Sequence[int] = (), bus_bytes: int = WORD_BYTES):
        if words <= 0 or words % BANK_WORDS:
            raise ValueError(f"words must be a multiple of {BANK_WORDS}, not {words}")
        self.words, self.init, self.bus_bytes = words, list(init), bus_bytes
        super().__init__({"bus": In(Axi4(bus_bytes)), "port": In(WordPort())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.burst = burst = BurstPort(self.words, self.bus_bytes)
        connect(m, producer=wiring.flipped(self.bus), consumer=burst.bus)
        banks = []
        for index, first in enumerate(range(0, self.words, BANK_WORDS)):
            bank = MemoryBank(self.init[first : first + BANK_WORDS])
            m.submodules[f"bank_{index}"] = bank
            banks.append(bank)
            bus_is_here = burst.address[BANK_BITS:] == index
            host_is_here = self.port.address[BANK_BITS:] == index
            m.d.comb += [
                bank.bus_address.eq(burst.address),
                bank.bus_read.eq(burst.enable),
                bank.bus_write.eq(burst.strobe & bus_is_here.replicate(WORD_BYTES)),
                bank.bus_write_data.eq(self.bus.wdata.replicate(WORD_BYTES // self.bus_bytes)),
                bank.host_address.eq(self.port.address),
                bank.host_write.eq(self.port.write_enable & host_is_here),
                bank.host_write_data.eq(self.port.write_data),
            ]
        bus_bank, host_bank = Signal(range(len(banks))), Signal(range(len(banks)))
        with m.If(burst.enable):
            m.d.sync += bus_bank.eq(burst.address[BANK_BITS:])
        m.d.sync += [
            host_bank.eq(self.port.address[BANK_BITS:]),
            self.port.read_data.eq(choose([bank.host_data for bank in banks], host_bank)),
        ]
        m.d.comb += burst.word.eq(choose([bank.bus_data for bank in banks], bus_bank))
        return m
