"""The fetcher: reads the program, hands instructions to the units' queues, repeats it by image."""

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.control.check import ProgramCheck
from rtl.control.decode import Decoder, Inspected, Inspector, queue_members, queues_of
from rtl.isa.faults import FETCH, Fault, FaultCode, FirstFault, fault
from rtl.isa.instructions import IMAGES_IN_FLIGHT, INSTRUCTION_BYTES, Base
from rtl.isa.layouts import CREDITS, NUMBER_BITS
from rtl.isa.registers import ADDRESS_BITS, BYTES_BITS, IMAGES_BITS, STRIDE_BITS
from rtl.lib.streams import Skid, connect
from rtl.memory.beats import Gearbox
from rtl.memory.clients import ReadClient
from rtl.memory.regions import REGIONS, REGIONS_IN_FLIGHT

LOOP_MEMBERS = {
    "start": In(1),
    "program_address": In(ADDRESS_BITS),
    "program_bytes": In(BYTES_BITS),
    "images": In(IMAGES_BITS),
    "image_stride": In(STRIDE_BITS),
    "output_stride": In(STRIDE_BITS),
    "initial": In(REGIONS),
    "regions": Out(REGIONS_IN_FLIGHT),
    "parity": Out(1),
    "image_done": In(1),
    "balanced": In(1),
    "halt": In(1),
    "running": Out(1),
    "finished": Out(1),
    "fault": Out(Fault),
}
"""Members that the fetcher shares with its loop."""


class ImageLoop(wiring.Component):
    """Asks for the program once per image, with at most two images in flight.

    It asks for the next image's program at END, as soon as the image before the one that ended is
    done; nothing waits for units to be idle. A parity tells the two images apart and selects their
    base addresses.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    start : In(1)
        Begin with the first image; the registers keep their values until ``finished``.
    program_address, program_bytes : In
        Place and size of the program; not aligned to instructions and memory beats is a fault.
    images : In(32)
    image_stride, output_stride : In(32)
    initial : In(REGIONS)
        Regions of the first image.
    regions : Out(REGIONS_IN_FLIGHT)
    command : Out(stream of ReadCommand)
    begin : Out(1)
    count : Out(NUMBER)
        Instructions of the program.
    parity : Out(1)
        Parity of the image whose program was asked for last.
    first : Out(1)
        The program was asked for the first image.
    end : In(1)
        END was decoded.
    image_done : In(1)
        The oldest image in flight is done.
    balanced : In(1)
        All semaphores are what they were at the start.
    halt : In(1)
    running : Out(1)
    finished : Out(1)
        High for a cycle when the last image is done.
    fault : Out(Fault)
    """

    def __init__(self, config: EngineConfig):
        self.alignment = max(INSTRUCTION_BYTES, config.memory_bytes)
        client = ReadClient(config.memory_bytes)
        super().__init__(
            LOOP_MEMBERS
            | {
                "command": client.members["command"],
                "begin": Out(1),
                "count": Out(NUMBER_BITS),
                "first": Out(1),
                "end": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        to_come = Signal(IMAGES_BITS)  # images whose program was not asked for
        in_flight = Signal(range(IMAGES_IN_FLIGHT + 1))
        impossible, nothing, last = Signal(), Signal(), Signal()  # known a cycle later
        ragged = (self.program_address % self.alignment).any() | (
            self.program_bytes % INSTRUCTION_BYTES
        ).any()
        asks = self.command.valid & self.command.ready
        m.d.comb += [
            self.command.p.address.eq(self.program_address),
            self.command.p.bytes.eq(self.program_bytes),
            self.count.eq(self.program_bytes // INSTRUCTION_BYTES),
        ]
        m.d.sync += [
            impossible.eq(ragged | (self.program_bytes == 0)),
            nothing.eq(self.images == 0),
            last.eq(to_come == 0),
            in_flight.eq(in_flight + asks - self.image_done),
        ]
        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.sync += [to_come.eq(self.images), self.first.eq(1)]
                with m.If(self.start):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.next = "REQUEST"
                with m.If(nothing):
                    m.d.comb += self.finished.eq(1)
                    m.next = "IDLE"
                with m.Elif(impossible):
                    m.d.comb += self.fault.eq(fault(1, FaultCode.ADDRESS, FETCH, 0))
                    m.next = "STOPPED"
            with m.State("REQUEST"):
                m.d.comb += [self.command.valid.eq(1), self.begin.eq(1)]
                with m.If(self.command.ready):
                    m.d.sync += to_come.eq(to_come - 1)
                    m.next = "RUN"
            with m.State("RUN"), m.If(self.end):
                m.next = "NEXT"
                with m.If(last):
                    m.next = "LAST"
            with m.State("NEXT"), m.If((in_flight != IMAGES_IN_FLIGHT) & ~self.halt):
                m.d.sync += [self.parity.eq(~self.parity), self.first.eq(0)]
                m.next = "REQUEST"
            with m.State("LAST"), m.If((in_flight == 0) & ~self.halt):
                m.next = "IDLE"
                m.d.comb += self.finished.eq(self.balanced)
                m.d.sync += self.parity.eq(~self.parity)
                with m.If(~self.balanced):
                    end = self.count - 1
                    m.d.comb += self.fault.eq(fault(1, FaultCode.SEMAPHORE, FETCH, end))
                    m.next = "STOPPED"
            with m.State("STOPPED"):
                pass
        m.d.comb += self.running.eq(~fsm.ongoing("IDLE") & ~self.halt)
        self._place(m, fsm.ongoing("IDLE"), asks)
        return m

    def _place(self, m: Module, idle: object, asks: object) -> None:
        """Set an image's regions a cycle after its program is asked for; then move the bases on."""
        following, asked = Signal(REGIONS), Signal()
        m.d.sync += asked.eq(asks)
        for parity, regions in enumerate(self.regions):
            with m.If(asked & (self.parity == parity)):
                m.d.sync += regions.eq(following)
        strides = {Base.IMAGE: self.image_stride, Base.OUTPUT: self.output_stride}
        with m.If(idle):
            m.d.sync += following.eq(self.initial)
        with m.Elif(asked):
            m.d.sync += [
                following[base].base.eq(following[base].base + stride)
                for base, stride in strides.items()
            ]


class Fetch(wiring.Component):
    """Reads, checks and distributes the program.

    An instruction per cycle, or one per 32 / memory_bytes cycles where beats are narrower;
    ``DECODE_CYCLES`` from the gearbox to the unit's queue, or to ``ended``.

    Members, beyond LOOP_MEMBERS
    ----------------------------
    reader : Out(ReadClient)
    load, matmul, norm, softmax, store : Out(stream of queued_layout)
    moved : Out(1)
        An instruction was read.
    ended : Out(1)
        END was decoded.
    credits : Out(CREDITS)
        Values that the semaphores start from, with ``starts``: at the first image's BEGIN.
    """

    DECODE_CYCLES = Skid.LATENCY + Decoder.LATENCY

    def __init__(self, config: EngineConfig):
        self.config = config
        super().__init__(
            LOOP_MEMBERS
            | queue_members(config.select_tokens > 0)
            | {
                "reader": Out(ReadClient(config.memory_bytes)),
                "moved": Out(1),
                "ended": Out(1),
                "starts": Out(1),
                "credits": Out(CREDITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.loop = loop = ImageLoop(self.config)
        m.submodules.words = words = Gearbox(self.config.memory_bytes, INSTRUCTION_BYTES)
        m.submodules.inspector = inspector = Inspector(self.config)
        m.submodules.skid = skid = ResetInserter(loop.begin)(Skid(Inspected))
        m.submodules.decoder = decoder = Decoder(self.config.select_tokens > 0)
        m.submodules.check = check = ProgramCheck(self.config)
        m.submodules.faults = faults = FirstFault(3)
        connect(m, producer=loop.command, consumer=wiring.flipped(self.reader.command))
        connect(m, producer=wiring.flipped(self.reader.beats), consumer=words.i)
        connect(m, producer=words.o, consumer=inspector.i)
        connect(m, producer=inspector.o, consumer=skid.i)
        connect(m, producer=skid.o, consumer=decoder.i)
        for decoded, queue in zip(queues_of(decoder), queues_of(self), strict=True):
            connect(m, producer=decoded, consumer=wiring.flipped(queue))
        m.d.comb += [
            loop.start.eq(self.start),
            loop.program_address.eq(self.program_address),
            loop.program_bytes.eq(self.program_bytes),
            loop.images.eq(self.images),
            loop.image_stride.eq(self.image_stride),
            loop.output_stride.eq(self.output_stride),
            loop.initial.eq(self.initial),
            self.regions.eq(loop.regions),
            self.parity.eq(loop.parity),
            loop.image_done.eq(self.image_done),
            loop.balanced.eq(self.balanced),
            loop.halt.eq(self.halt),
            self.running.eq(loop.running),
            self.finished.eq(loop.finished),
            words.clear.eq(loop.begin),
            inspector.begin.eq(loop.begin),
            inspector.count.eq(loop.count),
            decoder.begin.eq(loop.begin),
            decoder.parity.eq(loop.parity),
            loop.end.eq(decoder.end),
            self.ended.eq(decoder.end),
            self.starts.eq(decoder.begun & loop.first),
            self.credits.eq(decoder.credits),
            faults.sources[0].eq(loop.fault),
            faults.sources[1].eq(decoder.fault),
            faults.sources[2].eq(check.fault),
            self.fault.eq(faults.o),
            self.moved.eq(words.o.valid & words.o.ready),
            check.begin.eq(loop.begin),
            check.beat.eq(words.i.p.data),
            check.beat_moves.eq(words.i.valid & words.i.ready),
            check.instruction.eq(words.o.p.data),
            check.number.eq(inspector.o.p.number),
            check.last.eq(inspector.o.p.last),
            check.moves.eq(self.moved),
        ]
        return m
