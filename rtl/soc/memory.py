"""The model's memory on the chip: block RAM behind AXI4, with a second port for the host."""

from collections.abc import Sequence
from functools import reduce
from operator import or_

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from rtl.isa.registers import ADDRESS_BITS
from rtl.lib.pipeline import choose, delayed
from rtl.lib.streams import Queue, connect
from rtl.memory.axi import Axi4, Response
from rtl.soc.blocks import WORD_BITS, WORD_BYTES, WordPort

BANK_WORDS = 8192  # as many as the ECP5's block RAM has with two bits each, so that 32 make a bank
LEAST_WORDS = 1024  # of a bank
WAITING = 8  # bursts of reads that wait for the one before


def bank_sizes(words: int) -> list[int]:
    """Return the words of each bank: powers of two, the largest first, none over ``BANK_WORDS``.

    Few deep banks, each bit of a word in block RAMs of its own, need hardly any wires to choose
    between banks; wide and shallow ones need a word's from each.

    Raises
    ------
    ValueError
        If ``words`` is no multiple of ``LEAST_WORDS``.
    """
    if words <= 0 or words % LEAST_WORDS:
        raise ValueError(f"words must be a multiple of {LEAST_WORDS}, not {words}")
    whole, rest = divmod(words, BANK_WORDS)
    bits = range(exact_log2(BANK_WORDS))
    return [BANK_WORDS] * whole + [1 << bit for bit in reversed(bits) if rest >> bit & 1]


class MemoryBank(wiring.Component):
    """Words with two ports, each of which reads or writes in a cycle.

    Parameters
    ----------
    words : int
        A power of two.
    init : sequence of int
        Words at the start; the rest is 0.

    Members
    -------
    bus_address : In
    bus_read : In(1)
    bus_write : In(8)
        By byte; nothing is read then.
    bus_write_data : In(64)
    bus_data : Out(64)
        What was read with the last ``bus_read``, from the cycle behind it.
    host_address, host_write, host_write_data, host_data
        Likewise, except that every cycle without a write reads.
    """

    def __init__(self, words: int, init: Sequence[int]):
        self.words, self.init = words, init
        super().__init__(
            {
                "bus_address": In(exact_log2(words)),
                "bus_read": In(1),
                "bus_write": In(WORD_BYTES),
                "bus_write_data": In(WORD_BITS),
                "bus_data": Out(WORD_BITS),
                "host_address": In(exact_log2(words)),
                "host_write": In(1),
                "host_write_data": In(WORD_BITS),
                "host_data": Out(WORD_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.words = words = memory.Memory(
            shape=WORD_BITS, depth=self.words, init=self.init
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
        Of a beat: 8, or 4.

    Members
    -------
    bus : In(Axi4(bus_bytes))
        Of one manager, whose bursts are of whole beats, incrementing, with ID 0.
    address : Out
    enable : Out(1)
        Read the word at ``address``.
    strobe : Out(8)
        Write bytes of it.
    word : In(64)
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
        more = Signal()  # left != 0
        m.d.comb += [
            moves.eq(~bus.rvalid | bus.rready),
            self.enable.eq(reading & moves & ~writes),
            waiting.o.ready.eq(~reading | (self.enable & ~more)),
        ]
        with m.If(self.enable):
            m.d.sync += [
                beat.eq(beat + 1),
                left.eq(left - 1),
                more.eq(left != 1),
                reading.eq(more),
            ]
        with m.If(waiting.o.valid & waiting.o.ready):
            m.d.sync += [
                reading.eq(1),
                left.eq(waiting.o.p.more),
                more.eq(waiting.o.p.more != 0),
                *self._begin(waiting.o.p.start, beat, outside),
            ]
        came, last, response = Signal(), Signal(), Signal.like(bus.rresp)
        part = Signal(max(1, self.part_bits))
        with m.If(moves):  # two registers: block RAM's, and the one on the bus
            m.d.sync += [
                came.eq(self.enable),
                last.eq(~more),
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
    """A memory of words of 8 bytes: AXI4 on one port, a host on the other.

    The first beat comes ``LATENCY`` cycles after its address, as a board's file counts them. What a
    port reads of a word that the other one is writing has no meaning.

    Parameters
    ----------
    words : int
        A multiple of ``LEAST_WORDS``.
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
        As :func:`bank_sizes`.
    """

    LATENCY = 2 + Queue.LATENCY

    def __init__(self, words: int, init: Sequence[int] = (), bus_bytes: int = WORD_BYTES):
        self.sizes = bank_sizes(words)
        self.words, self.init, self.bus_bytes = words, list(init), bus_bytes
        super().__init__({"bus": In(Axi4(bus_bytes)), "port": In(WordPort())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.burst = burst = BurstPort(self.words, self.bus_bytes)
        connect(m, producer=wiring.flipped(self.bus), consumer=burst.bus)
        host_address, host_write, host_data = (
            delayed(m, value, 1, name=f"host_{name}", marker=name == "write")
            for name, value in (
                ("address", self.port.address),
                ("write", self.port.write_enable),
                ("data", self.port.write_data),
            )
        )
        banks, in_bus, in_host, first = [], [], [], 0
        for index, size in enumerate(self.sizes):
            bank = MemoryBank(size, self.init[first : first + size])
            m.submodules[f"bank_{index}"] = bank
            banks.append(bank)
            in_bus.append(_is_in_bank(burst.address, first, size))
            in_host.append(_is_in_bank(host_address, first, size))
            m.d.comb += [
                bank.bus_address.eq(burst.address),
                bank.bus_read.eq(burst.enable),
                bank.bus_write.eq(burst.strobe & in_bus[-1].replicate(WORD_BYTES)),
                bank.bus_write_data.eq(self.bus.wdata.replicate(WORD_BYTES // self.bus_bytes)),
                bank.host_address.eq(host_address),
                bank.host_write.eq(host_write & in_host[-1]),
                bank.host_write_data.eq(host_data),
            ]
            first += size
        bits = ceil_log2(len(banks))
        bus_bank, host_bank = Signal(max(1, bits)), Signal(max(1, bits))
        with m.If(burst.enable):
            m.d.sync += bus_bank.eq(_number(in_bus))
        m.d.sync += [
            host_bank.eq(_number(in_host)),
            self.port.read_data.eq(choose([bank.host_data for bank in banks], host_bank[:bits])),
        ]
        m.d.comb += burst.word.eq(choose([bank.bus_data for bank in banks], bus_bank[:bits]))
        return m


def _is_in_bank(address: Value, first: int, size: int) -> Value:
    """Whether a word lies in a bank, whose first word is a multiple of its size."""
    return address >> exact_log2(size) == first >> exact_log2(size)


def _number(chosen: Sequence[Value]) -> Value:
    """Number of the one that is chosen; 0 if none is."""
    return reduce(or_, (Mux(each, number, 0) for number, each in enumerate(chosen)))
