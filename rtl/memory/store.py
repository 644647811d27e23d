"""The store unit: instructions STORE, residual words of tokens to memory."""

from collections.abc import Callable

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.config import EngineConfig
from rtl.isa.faults import Fault, FaultCode, fault
from rtl.isa.instructions import Opcode, Unit
from rtl.isa.layouts import dispatch_layout, operands_layout
from rtl.isa.unit_port import UnitPort
from rtl.lib.counts import count_flags
from rtl.lib.pipeline import choose, delayed
from rtl.lib.streams import connect
from rtl.memory.clients import WriteClient
from rtl.memory.ports import READ_LATENCY, RESIDUAL, array, residual_read
from rtl.memory.regions import REGIONS_IN_FLIGHT, RegionCheck
from rtl.model import numerics

STORE = dispatch_layout(Opcode.STORE)
OPERANDS = operands_layout(Opcode.STORE)
TOTAL_BITS = OPERANDS["more_words"].width + 1  # of the words of all tokens


def words_of(operands: data.View) -> Value:
    """Number of words that a STORE reads."""
    return (operands.row_words + operands.more_words)[:TOTAL_BITS]


class TokenReader(wiring.Component):
    """Reads the words of tokens, one behind the other, ahead of their use.

    A word comes READ_LATENCY + 1 cycles after its request, one per cycle. ``AHEAD`` words that were
    asked for have a place, so that those on their way can be taken when memory stands still.

    Members
    -------
    begin : In(1)
        Read the words of ``operands``, from the next cycle on; never while words are left.
    operands : In(operands of STORE)
        Must not change while words are left.
    residual : Out(residual_read)
    words : Out(stream of row_lanes x RESIDUAL)
    last : Out(1)
        The word at ``words`` is the last one.
    """

    AHEAD = 4

    def __init__(self, config: EngineConfig):
        self.word = array(config.row_lanes, RESIDUAL)
        super().__init__(
            {
                "begin": In(1),
                "operands": In(OPERANDS),
                "residual": Out(residual_read(config)),
                "words": Out(stream.Signature(self.word)),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        operands, request, words = self.operands, self.residual.request, self.words
        reads, left = Signal(), Signal(TOTAL_BITS)  # words are left to ask for, and how many
        row = Signal.like(operands.row_words)  # of them, those of the token
        token, group, address = Signal(2), Signal(16), Signal(16)  # group: its first word
        asked, arrives, leaves, odd = Signal(), Signal(), Signal(), Signal()
        ahead = count_flags(m, asked, leaves, most=self.AHEAD, name="ahead")
        inside = count_flags(m, arrives, leaves, most=self.AHEAD, name="inside")
        m.submodules.entries = entries = Memory(shape=self.word, depth=self.AHEAD, init=[])
        write, read = entries.write_port(), entries.read_port(domain="comb")
        m.d.comb += [
            request.valid.eq(reads & ahead.not_full),
            request.p.half.eq(token[1]),
            request.p.word.eq(address),
            asked.eq(request.valid & request.ready),
            arrives.eq(delayed(m, asked, READ_LATENCY, name="asked", marker=True)),
            odd.eq(delayed(m, token[0], READ_LATENCY, name="odd")),
            write.en.eq(arrives),
            write.data.eq(Mux(odd, *(self.residual.data[i].as_value() for i in (1, 0)))),
            words.valid.eq(inside.not_empty),
            words.p.eq(read.data),
            leaves.eq(words.valid & words.ready),
            self.last.eq(~reads & (ahead.count == 1)),
        ]
        m.d.sync += [write.addr.eq(write.addr + arrives), read.addr.eq(read.addr + leaves)]
        with m.If(self.begin):
            m.d.sync += [
                reads.eq(1),
                left.eq(words_of(operands)),
                row.eq(operands.row_words),
                token.eq(operands.token),
                group.eq(operands.source_address),
                address.eq(operands.source_address),
            ]
        with m.Elif(asked):
            m.d.sync += [reads.eq(left != 1), left.eq(left - 1)]
            m.d.sync += [row.eq(row - 1), address.eq(address + 1)]
            with m.If(row == 1):
                m.d.sync += [row.eq(operands.row_words), token.eq(token + 1)]
                with m.If(token == 3):
                    m.d.sync += group.eq(address + 1)
                with m.Else():
                    m.d.sync += address.eq(group)
        return m


class StoreBeats(wiring.Component):
    """Residual words as int32 or int16 in memory beats, the lowest rows first, without a pause.

    A beat may hold two int16 words; the last word, if it has none to share a beat with, fills it.

    Members
    -------
    int16 : In(1)
    words : In(stream of row_lanes x RESIDUAL)
    last : In(1)
        No word comes behind that at ``words``.
    beats : Out(stream)
    """

    def __init__(self, config: EngineConfig):
        self.beat_bits = 8 * config.memory_bytes
        self.beats_per_word = config.logit_word_bytes // config.memory_bytes  # of int32
        word = array(config.row_lanes, RESIDUAL)
        super().__init__(
            {
                "int16": In(1),
                "words": In(stream.Signature(word)),
                "last": In(1),
                "beats": Out(stream.Signature(unsigned(self.beat_bits))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word = self.words.p.as_value()
        spare = numerics.LOGIT_BITS - numerics.RESIDUAL_BITS
        wide = Cat(Cat(value, value[-1].replicate(spare)) for value in self.words.p)
        if self.beats_per_word == 1:
            self._share(m, wide, word)
        else:
            self._divide(m, wide, word)
        return m

    def _divide(self, m: Module, wide: Value, word: Value) -> None:
        """Beats of a word, one after the other."""
        part, last = Signal(range(self.beats_per_word)), Signal()
        m.d.comb += [
            last.eq(part == Mux(self.int16, self.beats_per_word // 2 - 1, self.beats_per_word - 1)),
            self.beats.valid.eq(self.words.valid),
            self.beats.payload.eq(Mux(self.int16, self._part(word, part), self._part(wide, part))),
            self.words.ready.eq(self.beats.ready & last),
        ]
        with m.If(self.beats.valid & self.beats.ready):
            m.d.sync += part.eq(Mux(last, 0, part + 1))

    def _part(self, word: Value, index: Signal) -> Value:
        parts = [word[i : i + self.beat_bits] for i in range(0, len(word), self.beat_bits)]
        return choose(parts, index[: exact_log2(len(parts))])

    def _share(self, m: Module, wide: Value, word: Value) -> None:
        """A beat of each int32 word, or of two int16 words: the first of them is kept."""
        first, second, keeps = Signal(len(word)), Signal(), Signal()
        m.d.comb += [
            keeps.eq(self.int16 & ~second & ~self.last),
            self.beats.valid.eq(self.words.valid & ~keeps),
            self.beats.payload.eq(Mux(self.int16, Cat(Mux(second, first, word), word), wide)),
            self.words.ready.eq(self.beats.ready | keeps),
        ]
        with m.If(self.words.valid & self.words.ready):
            m.d.sync += [first.eq(word), second.eq(keeps)]


class StoreUnit(wiring.Component):
    """Executes STORE, one at a time: a beat per cycle, memory's answer at the end.

    The first beat is ready ``FIRST_CYCLES`` cycles after its word was asked for.

    Members
    -------
    i, done, idle, busy : as of UnitPort
    regions : In(REGIONS_IN_FLIGHT)
    residual : Out(residual_read)
    writer : Out(WriteClient)
    stall : Out(2)
        Bit 0: memory does not take the beat or has not answered. Bit 1: the residual is in use.
    fault : Out(Fault)
        ADDRESS before anything moves, also for an address inside a beat; WRITE after an answer.
    """

    FIRST_CYCLES = READ_LATENCY + 1

    def __init__(self, config: EngineConfig):
        self.config = config
        super().__init__(
            {
                **UnitPort(Opcode.STORE).members,
                "regions": In(REGIONS_IN_FLIGHT),
                "residual": Out(residual_read(config)),
                "writer": Out(WriteClient(config.memory_bytes)),
                "stall": Out(2),
                "fault": Out(Fault),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.check = check = RegionCheck()
        m.submodules.reader = reader = TokenReader(self.config)
        m.submodules.beats = beats = StoreBeats(self.config)
        store = Signal(STORE)
        ready = Signal(init=1)  # a register: Issue has logic behind it
        writer = self.writer
        self._wire(m, check, reader, beats, store)
        m.d.comb += [self.i.ready.eq(ready), check.i.valid.eq(self.i.valid & ready)]
        m.d.sync += Assert(~check.i.valid | check.i.ready)
        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.sync += store.eq(self.i.p)
                with m.If(self.i.valid):
                    m.d.sync += ready.eq(0)
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.comb += check.o.ready.eq(1)
                m.d.sync += [
                    writer.command.p.address.eq(check.o.p.address),
                    writer.command.p.beats.eq(self._beats(store.operands)),
                ]
                with m.If(check.o.valid):
                    with m.If(~check.o.p.inside | self._ragged(check.o.p.address)):
                        m.next = "REFUSE"
                    with m.Else():
                        m.d.sync += writer.command.valid.eq(1)
                        m.next = "COMMAND"
            with m.State("REFUSE"):
                m.next = "STOPPED"
            with m.State("COMMAND"), m.If(writer.command.ready):
                m.d.sync += writer.command.valid.eq(0)
                m.d.comb += reader.begin.eq(1)
                m.next = "SEND"
            with m.State("SEND"), m.If(writer.done):
                m.d.sync += ready.eq(1)
                m.next = "IDLE"
            with m.State("STOPPED"):
                pass
        self._report(m, fsm.ongoing, store)
        return m

    def _wire(
        self,
        m: Module,
        check: RegionCheck,
        reader: TokenReader,
        beats: StoreBeats,
        store: data.View,
    ) -> None:
        """Everything that does not depend on the state."""
        operands = self.i.p.operands
        m.d.comb += [
            check.regions.eq(self.regions),
            check.i.p.base.eq(operands.base),
            check.i.p.offset.eq(operands.offset),
            check.i.p.parity.eq(self.i.p.parity),
            check.i.p.bytes.eq(self._beats(operands) << exact_log2(self.config.memory_bytes)),
            reader.operands.eq(store.operands),
            beats.int16.eq(store.operands.int16),
            beats.last.eq(reader.last),
        ]
        connect(m, producer=reader.residual, consumer=wiring.flipped(self.residual))
        connect(m, producer=reader.words, consumer=beats.words)
        connect(m, producer=beats.beats, consumer=wiring.flipped(self.writer.beats))

    def _beats(self, operands: data.View) -> Value:
        """Number of beats of a STORE."""
        words = words_of(operands)
        bits = exact_log2(self.config.logit_word_bytes // self.config.memory_bytes)
        halves = words << bits - 1 if bits else (words + 1) >> 1
        return Mux(operands.int16, halves, words << bits)

    def _ragged(self, address: Value) -> Value:
        return address[: exact_log2(self.config.memory_bytes)].any()

    def _report(self, m: Module, ongoing: Callable[[str], Value], store: data.View) -> None:
        """Completion, faults and activity, from the state."""
        request, writer = self.residual.request, self.writer
        answered = ongoing("SEND") & writer.done
        refused, failed = ongoing("REFUSE"), answered & writer.error
        code = Mux(refused, FaultCode.ADDRESS, FaultCode.WRITE)
        m.d.sync += [
            self.done.valid.eq(answered),
            self.done.signal.eq(store.signal),
            self.done.number.eq(store.number),
            self.fault.eq(fault(refused | failed, code, Unit.STORE, store.number)),
        ]
        waits = ongoing("COMMAND") | ongoing("SEND")
        m.d.comb += [
            self.busy.eq(~ongoing("IDLE") & ~ongoing("STOPPED")),
            self.idle.eq(ongoing("IDLE") & ~self.i.valid & ~self.done.valid),
            self.stall[0].eq(waits & ~writer.beats.ready),
            self.stall[1].eq(request.valid & ~request.ready),
        ]
