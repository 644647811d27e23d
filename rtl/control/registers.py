"""The AXI4-Lite port to the host's registers of :mod:`rtl.isa.registers`."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from rtl.isa.registers import LITE_ADDRESS_BITS, OFFSETS, REGISTERS, WORD_BITS, WORD_BYTES, WORDS
from rtl.lib.pipeline import delayed
from rtl.memory.axi import Axi4Lite


class RegisterBus(wiring.Component):
    """AXI4-Lite in front, single accesses behind; never cleared, so that the bus never breaks.

    An access is taken in the cycle after its address (and data) came: ``ready`` waits for no input.
    A read takes ``READ_CYCLES`` from address to data. A write is answered when it has had its
    effect: a cycle for the register, one more for the start of a run.

    The answer is always OKAY. An access to no register, and a write while ``resetting``, does
    nothing but set ``ignored``.

    Members
    -------
    host : In(Axi4Lite)
    resetting : In(1)
        Ignore writes.
    forget : In(1)
        Clear ``ignored``.
    ignored : Out(1)
    read : Out(1)
        ``word`` is read in this cycle.
    word : Out
        Index of the word that is read or written.
    write : Out(1)
        ``data`` is written, by bytes that ``strobe`` enables.
    data : Out(32)
    strobe : Out(4)
    value : In(32)
        Content of ``word``, three cycles later.
    """

    READ_CYCLES = 5

    host: In(Axi4Lite())
    resetting: In(1)
    forget: In(1)
    ignored: Out(1)
    read: Out(1)
    word: Out(ceil_log2(WORDS))
    write: Out(1)
    data: Out(WORD_BITS)
    strobe: Out(WORD_BYTES)
    value: In(WORD_BITS)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        host = self.host
        index, known = Signal(LITE_ADDRESS_BITS - 2), Signal()
        m.d.comb += self.word.eq(index)
        m.d.sync += known.eq(index < WORDS)
        with m.If(self.forget):
            m.d.sync += self.ignored.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [
                    index.eq(host.araddr >> 2),
                    self.data.eq(host.wdata),
                    self.strobe.eq(host.wstrb),
                ]
                with m.If(host.awvalid & host.wvalid):
                    m.d.sync += index.eq(host.awaddr >> 2)
                    m.next = "TAKE_WRITE"
                with m.Elif(host.arvalid):
                    m.next = "TAKE_READ"
            with m.State("TAKE_WRITE"):
                m.d.comb += [host.awready.eq(1), host.wready.eq(1)]
                m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += self.write.eq(known & ~self.resetting)
                with m.If(~self.write):
                    m.d.sync += self.ignored.eq(1)
                m.next = "REGISTER"
            with m.State("REGISTER"):
                m.next = "START"
            with m.State("START"):
                m.next = "WRITTEN"
            with m.State("WRITTEN"):
                m.d.comb += host.bvalid.eq(1)
                with m.If(host.bready):
                    m.next = "IDLE"
            with m.State("TAKE_READ"):
                m.d.comb += [host.arready.eq(1), self.read.eq(1)]
                m.next = "SELECT"
            with m.State("SELECT"):
                m.next = "WAIT"
            with m.State("WAIT"):
                m.next = "VALUE"
            with m.State("VALUE"):
                m.d.sync += host.rdata.eq(self.value & known.replicate(WORD_BITS))
                with m.If(~known):
                    m.d.sync += self.ignored.eq(1)
                m.next = "READ"
            with m.State("READ"):
                m.d.comb += host.rvalid.eq(1)
                with m.If(host.rready):
                    m.next = "IDLE"
        return m


class RegisterFile(wiring.Component):
    """The registers, a member for each: rw ones come out, ro ones go in, wo ones pulse.

    A word is written in the cycle after ``write``. Of a register that counts, a read of the lower
    word keeps the upper one of the same cycle, and a read of the upper word returns what was kept.

    Members, beyond the registers
    -----------------------------
    word, read, write, data, strobe, value
        The other ends of those of RegisterBus.
    """

    GROUP = 16  # words that one level of the read multiplexer selects from

    def __init__(self) -> None:
        registers = {
            register.name: (In if register.access == "ro" else Out)(register.bits)
            for register in REGISTERS
        }
        for register in REGISTERS:
            if register.access == "rw":
                registers[register.name] = Out(register.bits, init=register.reset)
        super().__init__(
            registers
            | {
                "word": In(ceil_log2(WORDS)),
                "read": In(1),
                "write": In(1),
                "data": In(WORD_BITS),
                "strobe": In(WORD_BYTES),
                "value": Out(WORD_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        enabled = Cat(bit.replicate(8) for bit in self.strobe)
        values = []
        for register in REGISTERS:
            member = getattr(self, register.name)
            for part in range(register.words):
                index = OFFSETS[register.name] // WORD_BYTES + part
                bits = member[part * WORD_BITS : (part + 1) * WORD_BITS]
                if register.counts and part:
                    bits = self._kept(m, bits, self.read & (self.word == index - 1))
                values.append(Const(0, WORD_BITS) if register.access == "wo" else bits)
                if register.access == "ro":
                    continue
                chosen = Signal(name=f"chosen_{index}")
                m.d.sync += chosen.eq(self.write & (self.word == index))
                if register.access == "rw":
                    with m.If(chosen):
                        m.d.sync += bits.eq((self.data & enabled) | (bits & ~enabled))
                else:
                    m.d.comb += bits.eq(self.data & enabled & chosen.replicate(WORD_BITS))
        self._read(m, values)
        return m

    def _kept(self, m: Module, bits: Value, reads: Value) -> Signal:
        """Make a register that takes ``bits`` when :meth:`_read` does."""
        kept, now = Signal(len(bits), name="kept", reset_less=True), Signal(reset_less=True)
        m.d.sync += now.eq(reads)
        with m.If(now):
            m.d.sync += kept.eq(bits)
        return kept

    def _read(self, m: Module, values: list[ValueLike]) -> None:
        """Two levels of multiplexer, a register each; readable in reset too (``resetting``).

        A register of its own selects in each group: one alone would have 650 loads.
        """
        group_bits = ceil_log2(self.GROUP)
        groups = []
        for first in range(0, len(values), self.GROUP):
            select = delayed(m, self.word[:group_bits], 1, name=f"select_{first}", copy=True)
            chosen = Signal(WORD_BITS, name=f"group_{first}", reset_less=True)
            m.d.sync += chosen.eq(_select(values[first : first + self.GROUP], select))
            groups.append(chosen)
        value = Signal(WORD_BITS, reset_less=True)
        group = delayed(m, self.word[group_bits:], 2, name="group")
        m.d.sync += value.eq(_select(groups, group))
        m.d.comb += self.value.eq(value)


def _select(values: Sequence[ValueLike], index: Value) -> Value:
    """``values[index]`` as a tree of multiplexers; any value where the index is too large.

    Synthesis makes a tree of equal size whatever constants are among the values; of an ``Array``
    on an ECP5 it makes one twice as large for some.
    """
    if len(values) == 1:
        return Value.cast(values[0])
    pairs = [values[at : at + 2] for at in range(0, len(values), 2)]
    return _select([Mux(index[0], pair[-1], pair[0]) for pair in pairs], index[1:])
