"""The store unit: instructions STORE, one token's residual words to memory as int32."""

from collections.abc import Callable

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.config import EngineConfig
from rtl.isa.faults import Fault, FaultCode, fault
from rtl.isa.instructions import Opcode, Unit
from rtl.isa.layouts import dispatch_layout
from rtl.isa.unit_port import UnitPort
from rtl.lib.streams import connect
from rtl.memory.clients import WriteClient
from rtl.memory.ports import READ_LATENCY, RESIDUAL, array, residual_read
from rtl.memory.regions import REGIONS_IN_FLIGHT, RegionCheck
from rtl.model import numerics

STORE = dispatch_layout(Opcode.STORE)


class Widen(wiring.Component):
    """A residual word as int32, in memory beats, the lowest rows first.

    The first beat is there a cycle after ``take``; one beat per cycle.

    Members
    -------
    values : In(row_lanes x RESIDUAL)
    take : In(1)
        Take ``values``; never while beats of the word before are left.
    beats : Out(stream)
    last : Out(1)
        The word's last beat moves in this cycle.
    """

    def __init__(self, config: EngineConfig):
        self.beat_bits = 8 * config.memory_bytes
        self.word_bits = 8 * config.logit_word_bytes
        super().__init__(
            {
                "values": In(array(config.row_lanes, RESIDUAL)),
                "take": In(1),
                "beats": Out(stream.Signature(unsigned(self.beat_bits))),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beats_per_word = self.word_bits // self.beat_bits
        word = Signal(self.word_bits)
        left = Signal(range(beats_per_word + 1))
        moves = self.beats.valid & self.beats.ready
        m.d.comb += [
            self.beats.valid.eq(left != 0),
            self.beats.payload.eq(word),
            self.last.eq(moves & (left == 1)),
        ]
        with m.If(self.take):
            spare = numerics.LOGIT_BITS - numerics.RESIDUAL_BITS
            widened = Cat(Cat(value, value[-1].replicate(spare)) for value in self.values)
            m.d.sync += [word.eq(widened), left.eq(beats_per_word)]
        with m.Elif(moves):
            m.d.sync += [word.eq(word[self.beat_bits :]), left.eq(left - 1)]
        return m


class StoreUnit(wiring.Component):
    """Executes STORE, one at a time: a word is read, widened, sent, then the next.

    ``CYCLES_PER_WORD`` and 4 * row_lanes / memory_bytes beats each; memory's answer at the end. It
    runs once per image, for the logits: nothing waits for it but the end.

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

    CYCLES_PER_WORD = 1 + READ_LATENCY

    def __init__(self, config: EngineConfig):
        self.config = config
        self.beats_per_word = config.logit_word_bytes // config.memory_bytes
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
        m.submodules.widen = widen = Widen(self.config)
        store = Signal(STORE)
        column = Signal.like(store.operands.row_words)
        ready = Signal(init=1)  # a register: Issue has logic behind it
        request, writer = self.residual.request, self.writer
        self._wire(m, check, widen, store, column)
        m.d.comb += [self.i.ready.eq(ready), check.i.valid.eq(self.i.valid & ready)]
        m.d.sync += Assert(~check.i.valid | check.i.ready)
        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.sync += [store.eq(self.i.p), column.eq(0)]
                with m.If(self.i.valid):
                    m.d.sync += ready.eq(0)
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.comb += check.o.ready.eq(1)
                with m.If(check.o.valid):
                    m.d.sync += writer.command.p.address.eq(check.o.p.address)
                    with m.If(~check.o.p.inside | self._ragged(check.o.p.address)):
                        m.next = "REFUSE"
                    with m.Else():
                        m.d.sync += writer.command.valid.eq(1)
                        m.next = "COMMAND"
            with m.State("REFUSE"):
                m.next = "STOPPED"
            with m.State("COMMAND"):
                with m.If(writer.command.ready):
                    m.d.sync += writer.command.valid.eq(0)
                    m.next = "READ"
            with m.State("READ"):
                m.d.comb += request.valid.eq(1)
                with m.If(request.ready):
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.next = "WORD"
            with m.State("WORD"):
                m.d.comb += widen.take.eq(1)
                m.next = "SEND"
            with m.State("SEND"), m.If(widen.last):
                m.d.sync += column.eq(column + 1)
                m.next = "READ"
                with m.If(column + 1 == store.operands.row_words):
                    m.next = "ANSWER"
            with m.State("ANSWER"), m.If(writer.done):
                m.d.sync += ready.eq(1)
                m.next = "IDLE"
            with m.State("STOPPED"):
                pass
        self._report(m, fsm.ongoing, store)
        return m

    def _wire(
        self, m: Module, check: RegionCheck, widen: Widen, store: data.View, column: Signal
    ) -> None:
        """Everything that does not depend on the state."""
        operands, command, residual = self.i.p.operands, self.writer.command.p, self.residual
        odd = store.operands.token[0]
        m.d.comb += [
            check.regions.eq(self.regions),
            check.i.p.base.eq(operands.base),
            check.i.p.offset.eq(operands.offset),
            check.i.p.parity.eq(self.i.p.parity),
            check.i.p.bytes.eq(operands.row_words * self.config.logit_word_bytes),
            command.beats.eq(store.operands.row_words * self.beats_per_word),
            residual.request.p.half.eq(store.operands.token[1]),
            residual.request.p.word.eq(store.operands.source_address + column),
            widen.values.eq(Mux(odd, residual.data[1].as_value(), residual.data[0].as_value())),
        ]
        connect(m, producer=widen.beats, consumer=wiring.flipped(self.writer.beats))

    def _ragged(self, address: Value) -> Value:
        return address[: exact_log2(self.config.memory_bytes)].any()

    def _report(self, m: Module, ongoing: Callable[[str], Value], store: data.View) -> None:
        """Completion, faults and activity, from the state."""
        request, writer = self.residual.request, self.writer
        answered = ongoing("ANSWER") & writer.done
        refused, failed = ongoing("REFUSE"), answered & writer.error
        code = Mux(refused, FaultCode.ADDRESS, FaultCode.WRITE)
        m.d.sync += [
            self.done.valid.eq(answered),
            self.done.signal.eq(store.signal),
            self.done.number.eq(store.number),
            self.fault.eq(fault(refused | failed, code, Unit.STORE, store.number)),
        ]
        sends = ongoing("COMMAND") | ongoing("SEND")
        m.d.comb += [
            self.busy.eq(~ongoing("IDLE") & ~ongoing("STOPPED")),
            self.idle.eq(ongoing("IDLE") & ~self.i.valid & ~self.done.valid),
            self.stall[0].eq((sends & ~writer.beats.ready) | ongoing("ANSWER")),
            self.stall[1].eq(request.valid & ~request.ready),
        ]
