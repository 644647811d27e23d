"""The fetcher: reads the program, hands instructions to the units' queues, repeats it by image."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.control.faults import FAULT, FETCH, FaultCode, FirstFault, fault
from rtl.control.isa import INSTRUCTION_BYTES, UNIT_OF, Base, Opcode
from rtl.control.issue import queued_layout
from rtl.control.layout import HEADER_LAYOUT, NUMBER_BITS, instruction_layout
from rtl.link import link
from rtl.memory.axi import ADDRESS_BITS
from rtl.memory.beats import Gearbox
from rtl.memory.clients import BYTES_BITS, ReadClient, beat_layout
from rtl.memory.regions import REGIONS

IMAGES_BITS = 32
STRIDE_BITS = 32


class Decoder(wiring.Component):
    """Checks each instruction and hands it to its unit's queue, in order, one per cycle.

    BEGIN must be the first instruction, name this engine and the program's length; END must be the
    last. Anything else is a fault, and nothing is decoded any more.

    Members
    -------
    i : In(stream of beat_layout(32))
    begin : In(1)
        The next instruction is number 0.
    count : In(NUMBER)
        Instructions of the program.
    load, matmul, norm, softmax, store : Out(stream of queued_layout)
    end : Out(1)
        END was decoded in this cycle.
    number : Out(NUMBER)
        Of the instruction at ``i``.
    fault : Out(FAULT)
    """

    def __init__(self, config: EngineConfig):
        self.hash = config.hash
        queues = {
            unit.name.lower(): Out(stream.Signature(queued_layout(opcode)))
            for opcode, unit in UNIT_OF.items()
        }
        super().__init__(
            {
                "i": In(stream.Signature(beat_layout(INSTRUCTION_BYTES))),
                "begin": In(1),
                "count": In(NUMBER_BITS),
                "end": Out(1),
                "number": Out(NUMBER_BITS),
                "fault": Out(FAULT),
            }
            | queues
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word, stopped = self.i.p, Signal()
        header = HEADER_LAYOUT(word.data[: HEADER_LAYOUT.size])
        place, code = Signal(), Signal(FaultCode)
        first, last = self.number == 0, self.number == self.count - 1
        known = header.opcode.matches(*Opcode)
        m.d.comb += place.eq(
            ((header.opcode == Opcode.BEGIN) == first) & ((header.opcode == Opcode.END) == last)
        )
        with m.If(word.error):
            m.d.comb += code.eq(FaultCode.READ)
        with m.Elif(~known | ~place | (header.reserved != 0)):
            m.d.comb += code.eq(FaultCode.OPCODE)
        with m.Elif(first & self._foreign(word.data)):
            m.d.comb += code.eq(FaultCode.ENGINE)

        legal = Signal()
        m.d.comb += legal.eq(self.i.valid & ~stopped & (code == FaultCode.NONE))
        with m.If(legal & (first | last)):
            m.d.comb += [self.i.ready.eq(1), self.end.eq(last)]
        for opcode, unit in UNIT_OF.items():
            queue = getattr(self, unit.name.lower())
            instruction = instruction_layout(opcode)(word.data)
            m.d.comb += [
                queue.p.operands.eq(instruction.operands),
                queue.p.wait.eq(header.wait),
                queue.p.signal.eq(header.signal),
                queue.p.number.eq(self.number),
            ]
            with m.If(legal & (header.opcode == opcode)):
                m.d.comb += [queue.valid.eq(1), self.i.ready.eq(queue.ready)]

        refused = self.i.valid & ~stopped & (code != FaultCode.NONE)
        m.d.sync += self.fault.eq(fault(refused, code, FETCH, self.number))
        with m.If(refused | self.end):  # what a beat holds behind END is no instruction
            m.d.sync += stopped.eq(1)
        with m.If(self.begin):
            m.d.sync += [self.number.eq(0), stopped.eq(0)]
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += self.number.eq(self.number + 1)
        return m

    def _foreign(self, instruction: object) -> object:
        """Whether BEGIN names another engine or another length than the program has."""
        operands = instruction_layout(Opcode.BEGIN)(instruction).operands
        return (operands.engine != self.hash) | (operands.instructions != self.count)


LOOP_MEMBERS = {
    "start": In(1),
    "program_address": In(ADDRESS_BITS),
    "program_bytes": In(BYTES_BITS),
    "images": In(IMAGES_BITS),
    "image_stride": In(STRIDE_BITS),
    "output_stride": In(STRIDE_BITS),
    "initial": In(REGIONS),
    "regions": Out(REGIONS),
    "settled": In(1),
    "balanced": In(1),
    "halt": In(1),
    "running": Out(1),
    "image_done": Out(1),
    "finished": Out(1),
    "fault": Out(FAULT),
}
"""Members that the fetcher has from its loop."""


class ImageLoop(wiring.Component):
    """Runs the program once per image, from bases that advance by the strides.

    At END it waits until the engine has been settled for ``SETTLE`` cycles: a fault on its way is
    recorded by then.

    Members
    -------
    start : In(1)
    program_address, program_bytes : In
        Whole instructions, aligned to an instruction and to a memory beat, else a fault.
    images : In(32)
    image_stride, output_stride : In(32)
    initial : In(REGIONS)
        Of the first image.
    regions : Out(REGIONS)
        Of the current image.
    command : Out(stream of READ_COMMAND)
    begin : Out(1)
    count : Out(NUMBER)
    end : In(1)
        END was decoded.
    settled : In(1)
        All units are idle, all queues empty.
    balanced : In(1)
        All semaphores are zero.
    halt : In(1)
    running : Out(1)
    image_done, finished : Out(1)
        For a cycle: an image, the last image is done.
    fault : Out(FAULT)
    """

    SETTLE = 8

    def __init__(self, config: EngineConfig):
        self.alignment = max(INSTRUCTION_BYTES, config.memory_bytes)
        client = ReadClient(config.memory_bytes)
        super().__init__(
            LOOP_MEMBERS
            | {
                "command": client.members["command"],
                "begin": Out(1),
                "count": Out(NUMBER_BITS),
                "end": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        image = Signal(IMAGES_BITS)
        calm = Signal(range(self.SETTLE + 1))
        ragged = (self.program_address % self.alignment).any() | (
            self.program_bytes % INSTRUCTION_BYTES
        ).any()
        m.d.comb += [
            self.command.p.address.eq(self.program_address),
            self.command.p.bytes.eq(self.program_bytes),
            self.count.eq(self.program_bytes // INSTRUCTION_BYTES),
        ]
        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.sync += [image.eq(0), self.regions.eq(self.initial)]
                with m.If(self.start):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.next = "REQUEST"
                with m.If(self.images == 0):
                    m.d.comb += self.finished.eq(1)
                    m.next = "IDLE"
                with m.Elif(ragged | (self.program_bytes == 0)):
                    m.d.comb += self.fault.eq(fault(1, FaultCode.ADDRESS, FETCH, 0))
                    m.next = "STOPPED"
            with m.State("REQUEST"):
                m.d.comb += [self.command.valid.eq(1), self.begin.eq(1)]
                with m.If(self.command.ready):
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.sync += calm.eq(0)
                with m.If(self.end):
                    m.next = "BARRIER"
            with m.State("BARRIER"):
                m.d.sync += calm.eq(Mux(self.settled, calm + 1, 0))
                with m.If((calm == self.SETTLE) & ~self.halt):
                    m.next = "REQUEST"
                    self._advance(m, image)
                    with m.If(~self.balanced):
                        end = self.count - 1
                        m.d.comb += self.fault.eq(fault(1, FaultCode.SEMAPHORE, FETCH, end))
                        m.next = "STOPPED"
                    with m.Else():
                        m.d.comb += self.image_done.eq(1)
                        with m.If(image + 1 == self.images):
                            m.d.comb += self.finished.eq(1)
                            m.next = "IDLE"
            with m.State("STOPPED"):
                pass
        m.d.comb += self.running.eq(~fsm.ongoing("IDLE") & ~self.halt)
        return m

    def _advance(self, m: Module, image: Signal) -> None:
        """Bases of the next image."""
        m.d.sync += image.eq(image + 1)
        for base, stride in ((Base.IMAGE, self.image_stride), (Base.OUTPUT, self.output_stride)):
            address = self.regions[base].base
            m.d.sync += address.eq(address + stride)


class Fetch(wiring.Component):
    """Reads, checks and distributes the program.

    An instruction per cycle, or one per 32 / memory_bytes cycles where beats are narrower.

    Members, beyond LOOP_MEMBERS
    ----------------------------
    reader : Out(ReadClient)
    load, matmul, norm, softmax, store : Out(stream of queued_layout)
    moved : Out(1)
        An instruction was decoded.
    """

    def __init__(self, config: EngineConfig):
        self.config = config
        queues = {
            unit.name.lower(): Out(stream.Signature(queued_layout(opcode)))
            for opcode, unit in UNIT_OF.items()
        }
        reader = Out(ReadClient(config.memory_bytes))
        super().__init__(LOOP_MEMBERS | queues | {"reader": reader, "moved": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.loop = loop = ImageLoop(self.config)
        m.submodules.words = words = Gearbox(self.config.memory_bytes, INSTRUCTION_BYTES)
        m.submodules.decoder = decoder = Decoder(self.config)
        m.submodules.faults = faults = FirstFault(2)
        link(m, loop.command, wiring.flipped(self.reader.command))
        link(m, wiring.flipped(self.reader.beats), words.i)
        link(m, words.o, decoder.i)
        for unit in UNIT_OF.values():
            name = unit.name.lower()
            link(m, getattr(decoder, name), wiring.flipped(getattr(self, name)))
        for name, member in LOOP_MEMBERS.items():
            if name != "fault":
                inner, outer = getattr(loop, name), getattr(self, name)
                m.d.comb += inner.eq(outer) if member.flow is In else outer.eq(inner)
        m.d.comb += [
            words.clear.eq(loop.begin),
            decoder.begin.eq(loop.begin),
            decoder.count.eq(loop.count),
            loop.end.eq(decoder.end),
            faults.sources[0].eq(loop.fault),
            faults.sources[1].eq(decoder.fault),
            self.fault.eq(faults.o),
            self.moved.eq(decoder.i.valid & decoder.i.ready),
        ]
        return m
