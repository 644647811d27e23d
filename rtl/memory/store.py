"""The store unit: instructions STORE, one token's residual words to memory as int32."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl import numerics
from rtl.config import EngineConfig
from rtl.control.faults import FAULT, FaultCode, fault
from rtl.control.isa import Opcode, Unit
from rtl.control.layout import COMPLETION, dispatch_layout
from rtl.memory.dma import WriteClient
from rtl.memory.ports import READ_LATENCY, residual_read
from rtl.memory.regions import REGIONS, RegionCheck

STORE = dispatch_layout(Opcode.STORE)
LOGIT_BITS = 32


class StoreUnit(wiring.Component):
    """Executes STORE, one at a time: a word is read, widened, sent, then the next.

    ``CYCLES_PER_WORD`` and 4 * row_lanes / memory_bytes beats each; memory's answer at the end. It
    runs once per image, for a class token's logits: nothing waits for it but the end.

    Members
    -------
    i : In(stream of STORE's dispatch)
    regions : In(REGIONS)
    residual : Out(residual_read)
    writer : Out(WriteClient)
    done : Out(COMPLETION)
    idle, busy : Out(1)
    stall : Out(2)
        Bit 0: memory does not take the beat or has not answered. Bit 1: the residual is in use.
    fault : Out(FAULT)
        ADDRESS before anything moves, also for an address inside a beat; WRITE after an answer.

    Raises
    ------
    ValueError
        If a residual word's int32 do not fill a memory beat.
    """

    CYCLES_PER_WORD = 1 + READ_LATENCY

    def __init__(self, config: EngineConfig):
        word_bytes = LOGIT_BITS // 8 * config.row_lanes
        if word_bytes < config.memory_bytes:
            raise ValueError(
                f"memory_bytes must be at most 4 * row_lanes = {word_bytes}, "
                f"not {config.memory_bytes}"
            )
        self.config = config
        self.beats_per_word = word_bytes // config.memory_bytes
        super().__init__(
            {
                "i": In(stream.Signature(STORE)),
                "regions": In(REGIONS),
                "residual": Out(residual_read(config)),
                "writer": Out(WriteClient(config.memory_bytes)),
                "done": Out(COMPLETION),
                "idle": Out(1),
                "busy": Out(1),
                "stall": Out(2),
                "fault": Out(FAULT),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.check = check = RegionCheck()
        store = Signal(STORE)
        operands = store.operands
        column = Signal.like(operands.row_words)
        beat = Signal(range(max(2, self.beats_per_word)))
        word = Signal(LOGIT_BITS * self.config.row_lanes)
        request, writer = self.residual.request, self.writer
        self._wire(m, check, store, column, word)
        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.comb += [check.i.valid.eq(self.i.valid), self.i.ready.eq(check.i.ready)]
                m.d.sync += [store.eq(self.i.p), column.eq(0)]
                with m.If(self.i.valid & self.i.ready):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.comb += check.o.ready.eq(1)
                with m.If(check.o.valid):
                    m.d.sync += writer.command.p.address.eq(check.o.p.address)
                    m.next = "COMMAND"
                    with m.If(~check.o.p.inside | self._ragged(check.o.p.address)):
                        m.next = "REFUSE"
            with m.State("REFUSE"):
                m.next = "STOPPED"
            with m.State("COMMAND"):
                m.d.comb += writer.command.valid.eq(1)
                with m.If(writer.command.ready):
                    m.next = "READ"
            with m.State("READ"):
                m.d.comb += request.valid.eq(1)
                with m.If(request.ready):
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.next = "WORD"
            with m.State("WORD"):
                m.d.sync += [word.eq(self._widened(m, operands.token[0])), beat.eq(0)]
                m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += writer.beats.valid.eq(1)
                with m.If(writer.beats.ready):
                    m.d.sync += [word.eq(word[8 * self.config.memory_bytes :]), beat.eq(beat + 1)]
                    with m.If(beat == self.beats_per_word - 1):
                        m.d.sync += column.eq(column + 1)
                        m.next = "READ"
                        with m.If(column + 1 == operands.row_words):
                            m.next = "ANSWER"
            with m.State("ANSWER"):
                with m.If(writer.done):
                    m.next = "IDLE"
            with m.State("STOPPED"):
                pass
        refused = fsm.ongoing("REFUSE")
        failed = fsm.ongoing("ANSWER") & writer.done & writer.error
        code = Mux(refused, FaultCode.ADDRESS, FaultCode.WRITE)
        m.d.sync += [
            self.done.valid.eq(fsm.ongoing("ANSWER") & writer.done),
            self.done.signal.eq(store.signal),
            self.done.number.eq(store.number),
            self.fault.eq(fault(refused | failed, code, Unit.STORE, store.number)),
        ]
        waits = fsm.ongoing("COMMAND") | fsm.ongoing("SEND")
        m.d.comb += [
            self.busy.eq(~fsm.ongoing("IDLE") & ~fsm.ongoing("STOPPED")),
            self.idle.eq(fsm.ongoing("IDLE") & ~self.i.valid & ~self.done.valid),
            self.stall[0].eq((waits & ~writer.beats.ready) | fsm.ongoing("ANSWER")),
            self.stall[1].eq(request.valid & ~request.ready),
        ]
        return m

    def _wire(
        self, m: Module, check: RegionCheck, store: data.View, column: Signal, word: Signal
    ) -> None:
        """Everything that does not depend on the state."""
        operands, command = self.i.p.operands, self.writer.command.p
        m.d.comb += [
            check.regions.eq(self.regions),
            check.i.p.base.eq(operands.base),
            check.i.p.offset.eq(operands.offset),
            check.i.p.bytes.eq(operands.row_words * (LOGIT_BITS // 8 * self.config.row_lanes)),
            command.beats.eq(store.operands.row_words * self.beats_per_word),
            self.residual.request.p.half.eq(store.operands.token[1]),
            self.residual.request.p.word.eq(store.operands.source_address + column),
            self.writer.beats.payload.eq(word),
        ]

    def _ragged(self, address: Value) -> Value:
        return address[: exact_log2(self.config.memory_bytes)].any()

    def _widened(self, m: Module, odd: Value) -> Value:
        """The word of the even or odd token of the half, each value extended to 32 bits."""
        words = self.residual.data
        values = Signal(words.shape().elem_shape)
        m.d.comb += values.eq(Mux(odd, words[1].as_value(), words[0].as_value()))
        spare = LOGIT_BITS - numerics.RESIDUAL_BITS
        return Cat(Cat(value, value[-1].replicate(spare)) for value in values)
