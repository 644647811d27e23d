"""Commands cut into AXI4 bursts: none crosses a 4 KB boundary, none waits for room."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.isa.registers import ADDRESS_BITS, BYTES_BITS
from rtl.lib.streams import Skid, connect
from rtl.memory import axi
from rtl.memory.clients import ReadCommand

LENGTH_BITS = exact_log2(axi.BURST_BEATS) + 1


class Burst(data.Struct):
    """One AXI4 burst of whole beats."""

    address: unsigned(ADDRESS_BITS)
    beats: unsigned(LENGTH_BITS)
    last: unsigned(1)  # of its command


class BurstGenerator(wiring.Component):
    """Cuts commands into bursts, each up to the end of its block of ``BURST_BEATS`` beats.

    Blocks divide 4 KB, so no burst crosses a 4 KB boundary. A command's first burst comes
    ``LATENCY`` cycles after it, the others one per cycle. The next command is taken in the cycle
    after the last of them, at the earliest.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat.

    Members
    -------
    command : In(stream of ReadCommand)
    bursts : Out(stream of Burst)
    """

    LATENCY = 3

    def __init__(self, data_bytes: int):
        self.beat_bits = exact_log2(data_bytes)
        super().__init__(
            {"command": In(stream.Signature(ReadCommand)), "bursts": Out(stream.Signature(Burst))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        block_bits = self.beat_bits + LENGTH_BITS - 1
        idle, counts, begins = Signal(init=1), Signal(), Signal()
        end = Signal(BYTES_BITS + 1)  # the command's last byte, counted from its first block
        # Of the first burst: whether it is the only one, and its beats if so and if not.
        only, part, rest = Signal(), Signal(LENGTH_BITS), Signal(LENGTH_BITS)
        blocks, two = Signal(len(end) - block_bits), Signal()  # behind the next burst's; one is
        tail = Signal(LENGTH_BITS)  # beats in the last block
        command, bursts = self.command, self.bursts
        address = bursts.p.address
        beat, last_beat = (byte[self.beat_bits : block_bits] for byte in (address, end))
        m.d.comb += command.ready.eq(idle)
        m.d.sync += [counts.eq(0), begins.eq(counts)]
        with m.If(command.valid & idle):
            m.d.sync += [
                address.eq(command.p.address[self.beat_bits :] << self.beat_bits),
                end.eq(command.p.address[:block_bits] + command.p.bytes - 1),
                idle.eq(0),
                counts.eq(1),
            ]
        m.d.sync += [
            only.eq(end[block_bits:] == 0),
            part.eq(last_beat - beat + 1),
            rest.eq(axi.BURST_BEATS - beat),
            tail.eq(last_beat + 1),
        ]
        with m.If(counts):
            m.d.sync += [blocks.eq(end[block_bits:]), two.eq(end[block_bits:] == 1)]
        with m.If(begins):
            m.d.sync += [
                bursts.valid.eq(1),
                bursts.p.last.eq(only),
                bursts.p.beats.eq(Mux(only, part, rest)),
            ]
        with m.If(bursts.valid & bursts.ready):
            m.d.sync += [
                bursts.valid.eq(~bursts.p.last),
                idle.eq(bursts.p.last),
                bursts.p.last.eq(two),
                bursts.p.beats.eq(Mux(two, tail, axi.BURST_BEATS)),
                address.eq(((address >> block_bits) + 1) << block_bits),
                blocks.eq(blocks - 1),
                two.eq(blocks == 2),
            ]
        return m


class Burster(wiring.Component):
    """Cuts a client's commands into bursts; holds a burst back until its beats have room.

    So beats never wait on the bus, and a client that stands still blocks nobody else. A command's
    first burst comes ``LATENCY`` cycles after it, the others one per cycle, and a burst that waits
    ``ROOM_LATENCY`` cycles after the beat that made room for it left the buffer.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat.
    room : int
        Beats that the client's buffer holds.

    Members
    -------
    command : In(stream of ReadCommand)
    bursts : Out(stream of Burst)
    taken : In(1)
        A beat left the buffer in the cycle before.
    """

    LATENCY = BurstGenerator.LATENCY + Skid.LATENCY
    ROOM_LATENCY = 2 + Skid.LATENCY

    def __init__(self, data_bytes: int, room: int):
        self.data_bytes = data_bytes
        self.room = room
        super().__init__(
            {
                "command": In(stream.Signature(ReadCommand)),
                "bursts": Out(stream.Signature(Burst)),
                "taken": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.generator = generator = BurstGenerator(self.data_bytes)
        m.submodules.chosen = chosen = Skid(Burst)
        connect(m, producer=wiring.flipped(self.command), consumer=generator.command)
        connect(m, producer=chosen.o, consumer=wiring.flipped(self.bursts))
        room = Signal(range(self.room + 1), init=self.room)
        left = Signal(signed(len(room) + 1))  # room, once the next burst is on its way
        fits = left >= 0
        m.d.comb += [
            left.eq(room - generator.bursts.p.beats),
            chosen.i.p.eq(generator.bursts.p),
            chosen.i.valid.eq(generator.bursts.valid & fits),
            generator.bursts.ready.eq(chosen.i.ready & fits),
        ]
        goes = generator.bursts.valid & generator.bursts.ready
        m.d.sync += room.eq(Mux(goes, left, room) + self.taken)
        return m
