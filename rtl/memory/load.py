"""The load unit: instructions LOAD, from memory into the scratchpads.

::

    dispatch -> LoadCheck -> transfers (queue) -> router -> PartLoader, ResidualLoader,
                    |                               ^       StripLoader, TableLoader
                    +-> reader's command ... beats -+

The check runs ahead of the data: several instructions' reads are outstanding at a time.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl import numerics
from rtl.config import EngineConfig
from rtl.control.faults import FAULT, FaultCode, FirstFault, fault
from rtl.control.isa import Opcode, Target, Unit
from rtl.control.layout import COMPLETION, dispatch_layout
from rtl.control.queue import Queue
from rtl.link import link
from rtl.memory.beats import Cutter, Gearbox
from rtl.memory.dma import ReadClient, beat_layout
from rtl.memory.ports import (
    ADDRESS,
    WritePort,
    gelu_write,
    part_write,
    pixel_write,
    residual_write,
)
from rtl.memory.regions import REGIONS, RegionCheck

LOAD = dispatch_layout(Opcode.LOAD)


def transfer_layout(config: EngineConfig) -> data.StructLayout:
    """A LOAD whose data are on their way; ``first`` is its first byte's place in a beat."""
    return data.StructLayout({"load": LOAD, "first": exact_log2(config.memory_bytes)})


def exponent_beats(config: EngineConfig) -> int:
    """Beats in memory of a word of channel exponents, which fills the lowest bits."""
    word_bits = config.row_lanes * numerics.NORM_EXPONENT_BITS
    return -(-word_bits // (8 * config.memory_bytes))


class LoadCheck(wiring.Component):
    """Checks an instruction's addresses, then asks the reader for its bytes.

    Everything but pixels and tables must begin at a beat, the residual consist of whole words.
    What is out of place is a fault before anything moves, and the unit stands still from then on.

    Members
    -------
    i : In(stream of LOAD's dispatch)
    regions : In(REGIONS)
    command : Out(stream of READ_COMMAND)
    o : Out(stream of transfer_layout)
    idle : Out(1)
    fault : Out(FAULT)
    """

    LATENCY = RegionCheck.LATENCY + 3  # from dispatch to transfer, if the reader takes it at once

    def __init__(self, config: EngineConfig):
        self.config = config
        client = ReadClient(config.memory_bytes)
        super().__init__(
            {
                "i": In(stream.Signature(LOAD)),
                "regions": In(REGIONS),
                "command": client.members["command"],
                "o": Out(stream.Signature(transfer_layout(config))),
                "idle": Out(1),
                "fault": Out(FAULT),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.check = check = RegionCheck()
        load = Signal(LOAD)
        address = Signal.like(check.o.p.address)
        operands = load.operands
        m.d.comb += [
            check.regions.eq(self.regions),
            check.i.p.base.eq(self.i.p.operands.base),
            check.i.p.offset.eq(self.i.p.operands.offset),
            check.i.p.bytes.eq(self.i.p.operands.bytes),
            self.command.p.address.eq(address),
            self.command.p.bytes.eq(operands.bytes),
            self.o.p.load.eq(load),
            self.o.p.first.eq(address),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [
                    self.idle.eq(~self.i.valid),
                    check.i.valid.eq(self.i.valid),
                    self.i.ready.eq(check.i.ready),
                ]
                m.d.sync += load.eq(self.i.p)
                with m.If(self.i.valid & self.i.ready):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.comb += check.o.ready.eq(1)
                m.d.sync += address.eq(check.o.p.address)
                with m.If(check.o.valid):
                    m.next = "COMMAND"
                    self._refuse(m, operands, check.o.p, load.number)
            with m.State("COMMAND"):
                m.d.comb += self.command.valid.eq(1)
                with m.If(self.command.ready):
                    m.next = "TRANSFER"
            with m.State("TRANSFER"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "IDLE"
            with m.State("STOPPED"):
                pass
        return m

    def _refuse(self, m: Module, operands: data.View, place: data.View, number: object) -> None:
        """Report what cannot be loaded."""
        target = operands.target
        anywhere = (target == Target.PIXELS) | (target == Target.GELU)
        beat_bits = exact_log2(self.config.memory_bytes)
        word_bits = exact_log2(self.config.residual_word_bytes)
        ragged = (target == Target.RESIDUAL) & operands.bytes[:word_bits].any()
        aligned = anywhere | (~place.address[:beat_bits].any() & ~ragged)
        with m.If(target >= len(Target)):
            m.d.comb += self.fault.eq(fault(1, FaultCode.OPCODE, Unit.LOAD, number))
            m.next = "STOPPED"
        with m.Elif(~place.inside | ~aligned):
            m.d.comb += self.fault.eq(fault(1, FaultCode.ADDRESS, Unit.LOAD, number))
            m.next = "STOPPED"


class Loader(wiring.Component):
    """What the loaders have in common: a transfer, its beats, and the scratchpads that get them.

    A loader takes the transfer when it has made the last of its writes.

    Members
    -------
    transfer : In(stream of transfer_layout)
    beats : In(stream of beat_layout)
        Those of the transfer, no more.
    """

    def __init__(self, config: EngineConfig, writes: dict[str, wiring.Member]):
        self.config = config
        super().__init__(
            {
                "transfer": In(stream.Signature(transfer_layout(config))),
                "beats": In(stream.Signature(beat_layout(config.memory_bytes))),
                **writes,
            }
        )

    def running(self, m: Module) -> Signal:
        """Low for the cycle in which a transfer's counters are set."""
        running = Signal()
        m.d.sync += running.eq(self.transfer.valid & ~(running & self.transfer.ready))
        return running


class PartLoader(Loader):
    """Weights, parameters, exponents: each memory beat is one part of a word. One per cycle.

    Members, beyond those of Loader
    -------------------------------
    weights, parameters, exponents : Out(WritePort(part_write))
    """

    def __init__(self, config: EngineConfig):
        port = Out(WritePort(part_write(config)))
        super().__init__(config, {"weights": port, "parameters": port, "exponents": port})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        load, beat_bytes = self.transfer.p.load, self.config.memory_bytes
        running = self.running(m)
        word, part, last_part = Signal(ADDRESS), Signal(8), Signal(8)
        parts = {
            Target.WEIGHTS: self.config.weight_word_bytes // beat_bytes,
            Target.PARAMETERS: self.config.parameter_word_bytes // beat_bytes,
            Target.EXPONENTS: exponent_beats(self.config),
        }
        with m.Switch(load.operands.target):
            for target, count in parts.items():
                with m.Case(target):
                    port = getattr(self, target.name.lower())
                    m.d.comb += [
                        last_part.eq(count - 1), port.valid.eq(running & self.beats.valid)
                    ]  # fmt: skip
        for target in parts:
            beat = getattr(self, target.name.lower()).beat
            m.d.comb += [
                beat.word.eq(word),
                beat.part.eq(part),
                beat.beat.eq(self.beats.p.data),
                beat.number.eq(load.number),
            ]
        wraps = (load.operands.target == Target.WEIGHTS) & (word == self.config.weight_words - 1)
        moves = running & self.beats.valid
        m.d.comb += [
            self.beats.ready.eq(running),
            self.transfer.ready.eq(moves & self.beats.p.last),
        ]
        with m.If(~running):
            m.d.sync += [word.eq(load.operands.destination), part.eq(0)]
        with m.Elif(moves):
            m.d.sync += part.eq(part + 1)
            with m.If(part == last_part):
                m.d.sync += [part.eq(0), word.eq(Mux(wraps, 0, word + 1))]
        return m


class ResidualLoader(Loader):
    """Residual words, token by token, each one's ``row_words`` in order. One word per cycle.

    Members, beyond those of Loader
    -------------------------------
    residual : Out(stream of residual_write)
    """

    def __init__(self, config: EngineConfig):
        super().__init__(config, {"residual": Out(stream.Signature(residual_write(config)))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, load = self.config, self.transfer.p.load
        m.submodules.words = words = Gearbox(config.memory_bytes, config.residual_word_bytes)
        link(m, wiring.flipped(self.beats), words.i)
        running = self.running(m)
        left = Signal.like(load.operands.bytes)
        token = Signal.like(load.operands.token)
        group = Signal(ADDRESS)  # first word of the token's group
        column = Signal.like(load.operands.row_words)
        write = self.residual.p
        moves = self.residual.valid & self.residual.ready
        m.d.comb += [
            self.residual.valid.eq(running & words.o.valid),
            words.o.ready.eq(running & self.residual.ready),
            words.clear.eq(self.transfer.ready),
            write.half.eq(token[1]),
            write.enable.eq(Mux(token[0], 0b10, 0b01)),
            write.word.eq(group + column),
            write.values.as_value().eq(words.o.p.data.replicate(2)),
            write.number.eq(load.number),
            self.transfer.ready.eq(moves & (left == 1)),
        ]
        with m.If(~running):
            m.d.sync += [
                left.eq(load.operands.bytes >> exact_log2(config.residual_word_bytes)),
                token.eq(load.operands.token),
                group.eq(load.operands.destination),
                column.eq(0),
            ]
        with m.Elif(moves):
            m.d.sync += [left.eq(left - 1), column.eq(column + 1)]
            with m.If(column + 1 == load.operands.row_words):
                m.d.sync += [column.eq(0), token.eq(token + 1)]
                with m.If(token[:2] == 3):
                    m.d.sync += group.eq(group + load.operands.stride)
        return m


class CutLoader(Loader):
    """A loader that gets bytes from a cutter. Counts the transfer's bytes; knows the last word."""

    def cut(self, m: Module, segment_bytes: object) -> tuple[Cutter, Signal, object]:
        """The cutter, whether it runs, and whether its word is the transfer's last."""
        m.submodules.cutter = cutter = Cutter(self.config.memory_bytes, self.config.depth_lanes)
        running = self.running(m)
        left = Signal.like(self.transfer.p.load.operands.bytes)
        link(m, wiring.flipped(self.beats), cutter.i)
        m.d.comb += [
            cutter.start.eq(~running),
            cutter.first.eq(self.transfer.p.first),
            cutter.segment_bytes.eq(segment_bytes),
            cutter.o.ready.eq(running),
            self.transfer.ready.eq(running & cutter.o.valid & (left <= cutter.o.p.used)),
        ]
        with m.If(~running):
            m.d.sync += left.eq(self.transfer.p.load.operands.bytes)
            m.d.comb += cutter.i.valid.eq(0)
            m.d.comb += self.beats.ready.eq(0)
        with m.Elif(cutter.o.valid):
            m.d.sync += left.eq(left - cutter.o.p.used)
        return cutter, running


class StripLoader(CutLoader):
    """Pixels: a strip of patches side by side, picture row by picture row. One word per cycle.

    Members, beyond those of Loader
    -------------------------------
    pixels : Out(WritePort(pixel_write))
    """

    def __init__(self, config: EngineConfig):
        super().__init__(config, {"pixels": Out(WritePort(pixel_write(config)))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        load = self.transfer.p.load
        operands = load.operands
        cutter, running = self.cut(m, operands.segment_bytes)
        lane = Signal.like(self.pixels.beat.lane)
        segment = Signal.like(operands.segments)
        row, tile, column = Signal(ADDRESS), Signal(ADDRESS), Signal(8)
        m.d.comb += [
            self.pixels.valid.eq(running & cutter.o.valid),
            self.pixels.beat.lane.eq(lane),
            self.pixels.beat.word.eq(tile + column),
            self.pixels.beat.bytes.eq(cutter.o.p.bytes),
            self.pixels.beat.number.eq(load.number),
        ]
        with m.If(~running):
            m.d.sync += [
                lane.eq(operands.lane_first),
                segment.eq(0),
                column.eq(0),
                row.eq(operands.destination),
                tile.eq(operands.destination),
            ]
        with m.Elif(cutter.o.valid):
            m.d.sync += column.eq(column + 1)
            with m.If(cutter.o.p.last):
                m.d.sync += [column.eq(0), segment.eq(segment + 1), lane.eq(lane + 1)]
                with m.If(lane == self.config.token_lanes - 1):
                    m.d.sync += [lane.eq(0), tile.eq(tile + operands.stride)]
                with m.If(segment + 1 == operands.segments):  # next row of the picture
                    below = row + column + 1
                    m.d.sync += [
                        segment.eq(0), lane.eq(operands.lane_first), row.eq(below), tile.eq(below)
                    ]  # fmt: skip
        return m


class TableLoader(CutLoader):
    """A GELU table: a byte per code, ``destination`` is the table. One code per cycle.

    Members, beyond those of Loader
    -------------------------------
    gelu : Out(WritePort(gelu_write))
    """

    def __init__(self, config: EngineConfig):
        super().__init__(config, {"gelu": Out(WritePort(gelu_write(config)))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        load = self.transfer.p.load
        cutter, running = self.cut(m, 1)
        index = Signal(8)
        m.d.comb += [
            self.gelu.valid.eq(running & cutter.o.valid),
            self.gelu.beat.table.eq(load.operands.destination),
            self.gelu.beat.index.eq(index),
            self.gelu.beat.code.eq(cutter.o.p.bytes[0]),
            self.gelu.beat.number.eq(load.number),
        ]
        with m.If(~running):
            m.d.sync += index.eq(0)
        with m.Elif(cutter.o.valid):
            m.d.sync += index.eq(index + 1)
        return m


class Router(wiring.Component):
    """Gives each transfer and its beats to the loader of its target. No register on the way.

    Members
    -------
    transfer, beats : In(streams), as Loader's
    transfers, beats_of : Out(streams) x loaders
    done : Out(COMPLETION)
        A register after the loader took the transfer, that is, with the last write.
    fault : Out(FAULT)
        An error response of memory.
    """

    LOADERS = (
        (Target.WEIGHTS, Target.PARAMETERS, Target.EXPONENTS),
        (Target.RESIDUAL,),
        (Target.PIXELS,),
        (Target.GELU,),
    )

    def __init__(self, config: EngineConfig):
        transfer = stream.Signature(transfer_layout(config))
        beats = stream.Signature(beat_layout(config.memory_bytes))
        super().__init__(
            {
                "transfer": In(transfer),
                "beats": In(beats),
                "transfers": Out(transfer).array(len(self.LOADERS)),
                "beats_of": Out(beats).array(len(self.LOADERS)),
                "done": Out(COMPLETION),
                "fault": Out(FAULT),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ended = Signal()  # all beats of the transfer were taken; the next are another's
        load = self.transfer.p.load
        taken = self.beats.valid & self.beats.ready
        for targets, transfer, beats in zip(
            self.LOADERS, self.transfers, self.beats_of, strict=True
        ):
            chosen = Signal()
            m.d.comb += [
                chosen.eq(self.transfer.valid & load.operands.target.matches(*targets)),
                transfer.p.eq(self.transfer.p),
                transfer.valid.eq(chosen),
                beats.p.eq(self.beats.p),
                beats.valid.eq(chosen & self.beats.valid & ~ended),
            ]
            with m.If(chosen):
                m.d.comb += [
                    self.transfer.ready.eq(transfer.ready),
                    self.beats.ready.eq(beats.ready & ~ended),
                ]
        with m.If(taken & self.beats.p.last):
            m.d.sync += ended.eq(1)
        finished = self.transfer.valid & self.transfer.ready
        with m.If(finished):
            m.d.sync += ended.eq(0)
        failed = taken & self.beats.p.error
        m.d.sync += [
            self.done.valid.eq(finished),
            self.done.signal.eq(load.signal),
            self.done.number.eq(load.number),
            self.fault.eq(fault(failed, FaultCode.READ, Unit.LOAD, load.number)),
        ]
        return m


class LoadUnit(wiring.Component):
    """Executes LOAD.

    Cycles of an instruction whose data are there: ``CYCLES`` and its beats (words for pixels and
    residual, bytes for a table). Its check and the memory's latency overlap with the data of the
    instructions before it, ``AHEAD`` of them at most.

    Members
    -------
    i : In(stream of LOAD's dispatch)
    regions : In(REGIONS)
    reader : Out(ReadClient)
    weights, parameters, exponents : Out(WritePort(part_write))
    gelu : Out(WritePort(gelu_write))
    pixels : Out(WritePort(pixel_write))
    residual : Out(stream of residual_write)
    done : Out(COMPLETION)
    idle, busy : Out(1)
        Nothing in the unit; data are being written or awaited.
    stall : Out(2)
        Bit 0: memory has no beat for us. Bit 1: the residual refuses a word.
    fault : Out(FAULT)

    Raises
    ------
    ValueError
        If a weight word is narrower than a memory beat.
    """

    AHEAD = 8
    CYCLES = 1

    def __init__(self, config: EngineConfig):
        if config.weight_word_bytes < config.memory_bytes:
            raise ValueError(
                f"memory_bytes must be at most a weight word's {config.weight_word_bytes} bytes, "
                f"not {config.memory_bytes}"
            )
        self.config = config
        part = Out(WritePort(part_write(config)))
        super().__init__(
            {
                "i": In(stream.Signature(LOAD)),
                "regions": In(REGIONS),
                "reader": Out(ReadClient(config.memory_bytes)),
                "weights": part,
                "parameters": part,
                "exponents": part,
                "gelu": Out(WritePort(gelu_write(config))),
                "pixels": Out(WritePort(pixel_write(config))),
                "residual": Out(stream.Signature(residual_write(config))),
                "done": Out(COMPLETION),
                "idle": Out(1),
                "busy": Out(1),
                "stall": Out(2),
                "fault": Out(FAULT),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.check = check = LoadCheck(self.config)
        m.submodules.transfers = transfers = Queue(transfer_layout(self.config), self.AHEAD)
        m.submodules.router = router = Router(self.config)
        m.submodules.parts = parts = PartLoader(self.config)
        m.submodules.words = words = ResidualLoader(self.config)
        m.submodules.strips = strips = StripLoader(self.config)
        m.submodules.tables = tables = TableLoader(self.config)
        m.submodules.faults = faults = FirstFault(2)

        link(m, wiring.flipped(self.i), check.i)
        link(m, check.command, wiring.flipped(self.reader.command))
        link(m, check.o, transfers.i)
        link(m, transfers.o, router.transfer)
        link(m, wiring.flipped(self.reader.beats), router.beats)
        for index, loader in enumerate((parts, words, strips, tables)):
            link(m, router.transfers[index], loader.transfer)
            link(m, router.beats_of[index], loader.beats)
        for name in ("weights", "parameters", "exponents"):
            link(m, getattr(parts, name), wiring.flipped(getattr(self, name)))
        link(m, words.residual, wiring.flipped(self.residual))
        link(m, strips.pixels, wiring.flipped(self.pixels))
        link(m, tables.gelu, wiring.flipped(self.gelu))
        m.d.comb += [
            check.regions.eq(self.regions),
            faults.sources[0].eq(check.fault),
            faults.sources[1].eq(router.fault),
            self.fault.eq(faults.o),
            self.done.eq(router.done),
            self.idle.eq(check.idle & (transfers.level == 0) & ~self.done.valid),
            self.busy.eq(transfers.o.valid),
            self.stall[0].eq(transfers.o.valid & ~self.reader.beats.valid),
            self.stall[1].eq(self.residual.valid & ~self.residual.ready),
        ]
        return m
