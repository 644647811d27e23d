"""Instructions on their way to the queues of the units: numbered, inspected, checked."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.isa.faults import FETCH, Fault, FaultCode, fault
from rtl.isa.instructions import (
    INSTRUCTION_BITS,
    INSTRUCTION_BYTES,
    OPCODE_OF,
    UNIT_OF,
    UNITS,
    Opcode,
    Unit,
    credit,
    opcodes,
)
from rtl.isa.layouts import (
    CREDITS,
    HEADER_LAYOUT,
    MEMORY_OPCODES,
    NUMBER_BITS,
    instruction_layout,
    queued_layout,
)
from rtl.memory.clients import beat_layout


def queue_members(selection: bool) -> dict[str, wiring.Member]:
    """Streams of instructions to the queues of the units, as members of a component."""
    return {
        unit.name.lower(): Out(stream.Signature(queued_layout(opcode, selection)))
        for unit, opcode in OPCODE_OF.items()
    }


def queues_of(component: wiring.Component) -> tuple[wiring.PureInterface, ...]:
    """The streams of :func:`queue_members`, in the order of the units."""
    return component.load, component.matmul, component.norm, component.softmax, component.store


class Inspected(data.Struct):
    """An instruction, and everything that is found out about it before it is decoded."""

    instruction: unsigned(INSTRUCTION_BITS)
    number: unsigned(NUMBER_BITS)
    first: unsigned(1)  # of the program, by its number
    last: unsigned(1)
    begin: unsigned(1)  # by its opcode
    end: unsigned(1)
    units: unsigned(UNITS)  # the unit that executes it, one bit each
    error: unsigned(1)  # memory could not read it
    malformed: unsigned(1)  # an unknown opcode, or reserved bits are set
    foreign: unsigned(1)  # taken as BEGIN, it is of another engine or another program length


class Inspector(wiring.Component):
    """Numbers the instructions and looks at each one, without a register in the stream.

    Parameters
    ----------
    config : EngineConfig
        The engine whose hash BEGIN must name.

    Members
    -------
    i : In(stream of beat_layout(32))
    o : Out(stream of Inspected)
    begin : In(1)
        The next instruction is number 0.
    count : In(NUMBER)
        Number of instructions of the program.
    """

    def __init__(self, config: EngineConfig):
        self.hash = config.hash
        self.opcodes = opcodes(config.select_tokens > 0)
        super().__init__(
            {
                "i": In(stream.Signature(beat_layout(INSTRUCTION_BYTES))),
                "o": Out(stream.Signature(Inspected)),
                "begin": In(1),
                "count": In(NUMBER_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word, inspected = self.i.p, self.o.p
        number, final = Signal(NUMBER_BITS), Signal(NUMBER_BITS)
        header = HEADER_LAYOUT(word.data[: HEADER_LAYOUT.size])
        begin = instruction_layout(Opcode.BEGIN)(word.data).operands
        m.d.sync += final.eq(self.count - 1)
        m.d.comb += [
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready),
            inspected.instruction.eq(word.data),
            inspected.number.eq(number),
            inspected.first.eq(number == 0),
            inspected.last.eq(number == final),
            inspected.begin.eq(header.opcode == Opcode.BEGIN),
            inspected.end.eq(header.opcode == Opcode.END),
            *(inspected.units[unit].eq(self._executes(header.opcode, unit)) for unit in Unit),
            inspected.error.eq(word.error),
            inspected.malformed.eq(~header.opcode.matches(*self.opcodes) | (header.reserved != 0)),
            inspected.foreign.eq((begin.engine != self.hash) | (begin.instructions != self.count)),
        ]
        with m.If(self.begin):
            m.d.sync += number.eq(0)
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += number.eq(number + 1)
        return m

    def _executes(self, opcode: Value, unit: Unit) -> Value:
        """Whether a unit executes the instruction."""
        own = [code for code in self.opcodes if UNIT_OF.get(code) is unit]
        return reduce(or_, (opcode == code for code in own))


class Decoder(wiring.Component):
    """Checks each instruction and hands it to its unit's queue, in order, one per cycle.

    BEGIN must be the first instruction, name this engine and the program's length; END must be the
    last. Anything else is a fault, and nothing is decoded any more. ``LATENCY`` cycle.

    Parameters
    ----------
    selection : bool
        The engine selects tokens.

    Members
    -------
    i : In(stream of Inspected)
    begin : In(1)
        The next instruction is number 0.
    parity : In(1)
        Parity of the image that is decoded.
    load, matmul, norm, softmax, store : Out(stream of queued_layout)
    begun, end : Out(1)
        BEGIN, END was decoded.
    credits : Out(CREDITS)
        Credits of BEGIN, valid with ``begun``.
    fault : Out(Fault)
    """

    LATENCY = 1

    def __init__(self, selection: bool = False):
        self.selection = selection
        super().__init__(
            {
                "i": In(stream.Signature(Inspected)),
                "begin": In(1),
                "parity": In(1),
                "begun": Out(1),
                "end": Out(1),
                "credits": Out(CREDITS),
                "fault": Out(Fault),
            }
            | queue_members(selection)
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        queues = queues_of(self)
        inspected = self.i.p
        instruction, number = Signal(INSTRUCTION_BITS), Signal(NUMBER_BITS)
        code, legal, refused, stopped = Signal(FaultCode), Signal(), Signal(), Signal()
        misplaced = (inspected.begin != inspected.first) | (inspected.end != inspected.last)
        with m.If(inspected.error):
            m.d.comb += code.eq(FaultCode.READ)
        with m.Elif(inspected.malformed | misplaced):
            m.d.comb += code.eq(FaultCode.OPCODE)
        with m.Elif(inspected.first & inspected.foreign):
            m.d.comb += code.eq(FaultCode.ENGINE)
        m.d.comb += [
            legal.eq(self.i.valid & ~stopped & (code == FaultCode.NONE)),
            refused.eq(self.i.valid & ~stopped & (code != FaultCode.NONE)),
            self.i.ready.eq(Cat(~queue.valid | queue.ready for queue in queues).all()),
        ]
        m.d.sync += self.fault.eq(fault(refused & self.i.ready, code, FETCH, inspected.number))
        with m.If(self.i.ready):
            m.d.sync += [
                instruction.eq(inspected.instruction),
                number.eq(inspected.number),
                self.begun.eq(legal & inspected.first),
                self.end.eq(legal & inspected.last),
            ]
            m.d.sync += [queues[unit].valid.eq(legal & inspected.units[unit]) for unit in Unit]
            with m.If(refused | (legal & inspected.last)):
                m.d.sync += stopped.eq(1)  # what a beat holds behind END is no instruction
        with m.If(self.begin):
            m.d.sync += stopped.eq(0)
        self._hand_out(m, instruction, number)
        return m

    def _hand_out(self, m: Module, instruction: Signal, number: Signal) -> None:
        """Give the queues their parts of an instruction, and the semaphores BEGIN's credits."""
        for opcode, queue in zip(OPCODE_OF.values(), queues_of(self), strict=True):
            queued = queue.p
            fields = instruction_layout(opcode, self.selection)(instruction)
            dispatch = queued.dispatch
            m.d.comb += [
                queued.wait.eq(fields.header.wait),
                dispatch.operands.eq(fields.operands),
                dispatch.signal.eq(fields.header.signal),
                dispatch.number.eq(number),
            ]
            if opcode in MEMORY_OPCODES:
                m.d.comb += dispatch.parity.eq(self.parity)
            if self.selection and opcode is Opcode.SOFTMAX:
                m.d.comb += dispatch.select.eq(fields.header.opcode == Opcode.SELECT)
        begin = instruction_layout(Opcode.BEGIN)(instruction).operands
        m.d.comb += [
            self.credits[producer][consumer].eq(getattr(begin, credit(producer, consumer)))
            for producer in Unit
            for consumer in Unit
        ]
