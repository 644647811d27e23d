"""Between the engine and its memory: reads for several clients, writes for one, over AXI4.

A client sends a command and takes (or gives) beats of ``memory_bytes``; what a burst, a 4 KB
boundary or an outstanding transaction is, only this file knows.
"""

from amaranth.hdl import Module, Mux, ResetInserter, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, Signature
from amaranth.utils import exact_log2

from rtl.config import EngineConfig
from rtl.control.queue import Queue
from rtl.link import link
from rtl.memory import axi

BYTES_BITS = 30  # of a command; a program of 2**24 instructions has 2**29 bytes
LENGTH_BITS = exact_log2(axi.BURST_BEATS) + 1

READ_COMMAND = data.StructLayout(
    {"address": unsigned(axi.ADDRESS_BITS), "bytes": unsigned(BYTES_BITS)}
)
WRITE_COMMAND = data.StructLayout({"address": unsigned(axi.ADDRESS_BITS), "beats": unsigned(16)})
BURST = data.StructLayout(
    {"address": unsigned(axi.ADDRESS_BITS), "beats": unsigned(LENGTH_BITS), "last": unsigned(1)}
)


def beat_layout(data_bytes: int) -> data.StructLayout:
    """One aligned beat of memory; ``error`` if the slave said so, ``last`` of its command."""
    return data.StructLayout(
        {"data": unsigned(8 * data_bytes), "error": unsigned(1), "last": unsigned(1)}
    )


class ReadClient(Signature):
    """A reader's client: the beats that hold ``bytes`` (at least 1) from ``address``, in order.

    The first beat is the aligned one that holds ``address``; the client skips what precedes it.

    Members, as the client sees them
    --------------------------------
    command : Out(stream of READ_COMMAND)
    beats : In(stream of beat_layout)
    """

    def __init__(self, data_bytes: int):
        super().__init__(
            {
                "command": Out(stream.Signature(READ_COMMAND)),
                "beats": In(stream.Signature(beat_layout(data_bytes))),
            }
        )


class WriteClient(Signature):
    """The writer's client: ``beats`` (at least 1) from the aligned ``address``, then their data.

    Members, as the client sees them
    --------------------------------
    command : Out(stream of WRITE_COMMAND)
    beats : Out(stream)
    done : In(1)
        For a cycle, when memory has answered all of a command's bursts.
    error : In(1)
        With ``done``: one of the answers was an error.
    """

    def __init__(self, data_bytes: int):
        super().__init__(
            {
                "command": Out(stream.Signature(WRITE_COMMAND)),
                "beats": Out(stream.Signature(unsigned(8 * data_bytes))),
                "done": In(1),
                "error": In(1),
            }
        )


def burst_length(address: data.View, left: object, beat_bits: int) -> tuple[object, object]:
    """Beats up to the next block of BURST_BEATS, or all that are left; and whether these are all.

    Blocks divide 4 KB, so no burst crosses a 4 KB boundary.
    """
    to_block = axi.BURST_BEATS - address[beat_bits : beat_bits + LENGTH_BITS - 1]
    last = left <= to_block
    return Mux(last, left, to_block)[:LENGTH_BITS], last


def next_block(address: object, beat_bits: int) -> object:
    """First byte of the block of BURST_BEATS after the one of ``address``."""
    block_bits = beat_bits + LENGTH_BITS - 1
    return ((address >> block_bits) + 1) << block_bits


class Burster(wiring.Component):
    """Cuts a client's commands into bursts; holds a burst back until its beats have room.

    So beats never wait on the bus, and a client that stands still blocks nobody else. One burst
    per cycle, one cycle between commands.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat.
    room : int
        Beats that the client's buffer holds.

    Members
    -------
    command : In(stream of READ_COMMAND)
    bursts : Out(stream of BURST)
    taken : In(1)
        A beat has left the buffer.
    """

    def __init__(self, data_bytes: int, room: int):
        self.beat_bits = exact_log2(data_bytes)
        self.room = room
        super().__init__(
            {
                "command": In(stream.Signature(READ_COMMAND)),
                "bursts": Out(stream.Signature(BURST)),
                "taken": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        address = Signal(axi.ADDRESS_BITS)
        left = Signal(BYTES_BITS + 1 - self.beat_bits)
        room = Signal(range(self.room + 1), init=self.room)
        length, last = burst_length(address, left, self.beat_bits)

        command, bursts = self.command, self.bursts
        offset = command.p.address[: self.beat_bits]
        m.d.comb += [
            command.ready.eq(left == 0),
            bursts.valid.eq((left != 0) & (length <= room)),
            bursts.p.address.eq(address),
            bursts.p.beats.eq(length),
            bursts.p.last.eq(last),
        ]
        with m.If(command.valid & command.ready):
            whole = (command.p.bytes + offset + (1 << self.beat_bits) - 1) >> self.beat_bits
            m.d.sync += [left.eq(whole), address.eq(command.p.address - offset)]
        issued = Signal(LENGTH_BITS)
        with m.If(bursts.valid & bursts.ready):
            m.d.comb += issued.eq(length)
            m.d.sync += [
                left.eq(left - length),
                address.eq(next_block(address, self.beat_bits)),
            ]
        m.d.sync += room.eq(room + self.taken - issued)
        return m


class AddressIssue(wiring.Component):
    """Puts bursts on channel AR, the first client's before the second's, and remembers whose.

    Parameters
    ----------
    data_bytes : int
    clients : int

    Members
    -------
    bursts : In(stream of BURST) x clients
    hold : In(1)
        Take no more bursts; the one on the bus stays until it is accepted.
    tags : Out(stream of tag_layout)
        Whose beats will come, in order.
    axi : Out(Axi4Read)
        Channel AR of it.
    """

    def __init__(self, data_bytes: int, clients: int):
        self.data_bytes = data_bytes
        super().__init__(
            {
                "bursts": In(stream.Signature(BURST)).array(clients),
                "hold": In(1),
                "tags": Out(stream.Signature(tag_layout(clients))),
                "address": Out(stream.Signature(BURST)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        free = Signal()
        m.d.comb += free.eq((~self.address.valid | self.address.ready) & ~self.hold)
        earlier = 0
        with m.If(self.address.ready):
            m.d.sync += self.address.valid.eq(0)
        for client, burst in enumerate(self.bursts):
            chosen = Signal(name=f"chosen_{client}")
            m.d.comb += [
                chosen.eq(burst.valid & free & ~earlier),
                burst.ready.eq(free & ~earlier & self.tags.ready),
            ]
            with m.If(chosen):
                m.d.comb += [
                    self.tags.valid.eq(1),
                    self.tags.p.client.eq(client),
                    self.tags.p.last.eq(burst.p.last),
                ]
                with m.If(self.tags.ready):
                    m.d.sync += [self.address.p.eq(burst.p), self.address.valid.eq(1)]
            earlier = earlier | burst.valid
        return m


def tag_layout(clients: int) -> data.StructLayout:
    """Whose a burst is, and whether it ends a command."""
    return data.StructLayout({"client": range(clients), "last": unsigned(1)})


class Reader(wiring.Component):
    """Reads memory for the instruction fetcher and the load unit.

    In-order bursts with one ID, up to ``OUTSTANDING`` at a time and as many beats as the client's
    buffer holds. ``clear`` forgets all commands; beats still on their way are taken and dropped.

    Members
    -------
    program, load : In(ReadClient)
    clear : In(1)
    quiet : Out(1)
        Nothing is outstanding.
    moved : Out(1)
        An address or a beat moved in this cycle.
    axi : Out(Axi4Read)
    """

    OUTSTANDING = 32
    ROOM = {"program": 32, "load": 256}  # beats; the load unit's cover 256 cycles of latency

    def __init__(self, config: EngineConfig):
        self.data_bytes = config.memory_bytes
        client = In(ReadClient(self.data_bytes))
        super().__init__(
            dict.fromkeys(self.ROOM, client)
            | {
                "clear": In(1),
                "quiet": Out(1),
                "moved": Out(1),
                "axi": Out(axi.Axi4Read(self.data_bytes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        clients = len(self.ROOM)
        cleared = ResetInserter(self.clear)
        m.submodules.issue = issue = AddressIssue(self.data_bytes, clients)
        m.submodules.tags = tags = Queue(tag_layout(clients), self.OUTSTANDING)
        m.submodules.back = back = Return(self.data_bytes, clients)
        for index, (name, room) in enumerate(self.ROOM.items()):
            burster, beats = Burster(self.data_bytes, room), Queue(back.beat, room)
            m.submodules[f"{name}_burster"] = cleared(burster)
            m.submodules[f"{name}_beats"] = cleared(beats)
            client = getattr(self, name)
            link(m, wiring.flipped(client.command), burster.command)
            link(m, burster.bursts, issue.bursts[index])
            link(m, back.o[index], beats.i)
            link(m, beats.o, wiring.flipped(client.beats))
            m.d.comb += burster.taken.eq(beats.o.valid & beats.o.ready)
        link(m, issue.tags, tags.i)
        link(m, tags.o, back.tags)
        self._connect_bus(m, issue.address, back)
        m.d.comb += [
            issue.hold.eq(self.clear),
            self.quiet.eq(~issue.address.valid & (tags.level == 0)),
        ]
        return m

    def _connect_bus(self, m: Module, address: wiring.PureInterface, back: "Return") -> None:
        bus = self.axi
        axi.drive_address(m, bus, "ar", self.data_bytes)
        m.d.comb += [
            bus.araddr.eq(address.p.address),
            bus.arlen.eq(address.p.beats - 1),
            bus.arvalid.eq(address.valid),
            address.ready.eq(bus.arready),
            back.i.p.data.eq(bus.rdata),
            back.i.p.error.eq(bus.rresp[1]),
            back.i.p.last.eq(bus.rlast),
            back.i.valid.eq(bus.rvalid),
            bus.rready.eq(back.i.ready),
            self.moved.eq((bus.arvalid & bus.arready) | (bus.rvalid & bus.rready)),
        ]


class Return(wiring.Component):
    """Hands beats from channel R to the client whose burst they belong to. No register.

    Members
    -------
    i : In(stream of beat_layout)
        ``last`` of the burst.
    tags : In(stream of tag_layout)
    o : Out(stream of beat_layout) x clients
        ``last`` of the command. Always has room: the burster has seen to it.
    """

    def __init__(self, data_bytes: int, clients: int):
        self.beat = beat_layout(data_bytes)
        super().__init__(
            {
                "i": In(stream.Signature(self.beat)),
                "tags": In(stream.Signature(tag_layout(clients))),
                "o": Out(stream.Signature(self.beat)).array(clients),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        tag = self.tags.p
        moves = self.i.valid & self.tags.valid
        m.d.comb += [
            self.i.ready.eq(self.tags.valid),
            self.tags.ready.eq(moves & self.i.p.last),
        ]
        for client, beats in enumerate(self.o):
            m.d.comb += [
                beats.valid.eq(moves & (tag.client == client)),
                beats.p.data.eq(self.i.p.data),
                beats.p.error.eq(self.i.p.error),
                beats.p.last.eq(self.i.p.last & tag.last),
            ]
        return m


class Writer(wiring.Component):
    """Writes memory for the store unit, one burst at a time, and waits for every answer.

    ``clear`` forgets the command; a burst that has begun is completed without strobes.

    Members
    -------
    store : In(WriteClient)
    clear : In(1)
    quiet : Out(1)
    moved : Out(1)
    axi : Out(Axi4Write)
    """

    def __init__(self, config: EngineConfig):
        self.data_bytes = config.memory_bytes
        super().__init__(
            {
                "store": In(WriteClient(self.data_bytes)),
                "clear": In(1),
                "quiet": Out(1),
                "moved": Out(1),
                "axi": Out(axi.Axi4Write(self.data_bytes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus, command = self.axi, self.store.command
        beat_bits = exact_log2(self.data_bytes)
        left = Signal(16)  # beats of the command that no burst holds yet
        ahead = Signal(LENGTH_BITS)  # beats of the burst still to come
        aborted = Signal()
        failed = Signal()
        axi.drive_address(m, bus, "aw", self.data_bytes)
        m.d.comb += self.moved.eq(
            (bus.awvalid & bus.awready) | (bus.wvalid & bus.wready) | (bus.bvalid & bus.bready)
        )
        with m.If(bus.awready):
            m.d.sync += bus.awvalid.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [command.ready.eq(~self.clear), self.quiet.eq(1)]
                m.d.sync += [aborted.eq(0), failed.eq(0)]
                with m.If(command.valid & ~self.clear):
                    m.d.sync += [left.eq(command.p.beats), bus.awaddr.eq(command.p.address)]
                    m.next = "BURST"
            with m.State("BURST"):
                length, _ = burst_length(bus.awaddr, left, beat_bits)
                m.d.sync += [
                    bus.awlen.eq(length - 1),
                    bus.awvalid.eq(1),
                    ahead.eq(length),
                    left.eq(left - length),
                ]
                m.next = "DATA"
            with m.State("DATA"):
                self._send(m, ahead, aborted)
                with m.If(~bus.awvalid & ~bus.wvalid & (ahead == 0)):
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += bus.bready.eq(1)
                with m.If(bus.bvalid):
                    m.d.sync += [
                        failed.eq(failed | bus.bresp[1]),
                        bus.awaddr.eq(next_block(bus.awaddr, beat_bits)),
                    ]
                    m.next = "BURST"
                    with m.If((left == 0) | aborted | self.clear):
                        m.d.comb += [
                            self.store.done.eq(~aborted),
                            self.store.error.eq(failed | bus.bresp[1]),
                        ]
                        m.next = "IDLE"
        with m.If(self.clear):
            m.d.sync += aborted.eq(1)
        return m

    def _send(self, m: Module, ahead: object, aborted: object) -> None:
        """Channel W: a register that is filled from the client, or without strobes."""
        bus, beats = self.axi, self.store.beats
        stopped = aborted | self.clear
        free = ~bus.wvalid | bus.wready
        m.d.comb += beats.ready.eq(free & (ahead != 0) & ~stopped)
        with m.If(bus.wready):
            m.d.sync += bus.wvalid.eq(0)
        with m.If(free & (ahead != 0) & (beats.valid | stopped)):
            m.d.sync += [
                bus.wvalid.eq(1),
                bus.wdata.eq(beats.payload),
                bus.wstrb.eq(Mux(stopped, 0, ~0)),
                bus.wlast.eq(ahead == 1),
                ahead.eq(ahead - 1),
            ]


class Dma(wiring.Component):
    """Reader and writer on one AXI4 port.

    Members
    -------
    program, load : In(ReadClient)
    store : In(WriteClient)
    clear : In(1)
        Forget everything; hold until ``quiet``.
    quiet : Out(1)
        Nothing is outstanding.
    moved : Out(1)
        Something moved on the bus in this cycle.
    memory : Out(Axi4)
    """

    def __init__(self, config: EngineConfig):
        self.config = config
        super().__init__(
            {
                "program": In(ReadClient(config.memory_bytes)),
                "load": In(ReadClient(config.memory_bytes)),
                "store": In(WriteClient(config.memory_bytes)),
                "clear": In(1),
                "quiet": Out(1),
                "moved": Out(1),
                "memory": Out(axi.Axi4(config.memory_bytes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.reader = reader = Reader(self.config)
        m.submodules.writer = writer = Writer(self.config)
        link(m, wiring.flipped(self.program), reader.program)
        link(m, wiring.flipped(self.load), reader.load)
        link(m, wiring.flipped(self.store), writer.store)
        axi.pass_through(m, self.memory, reader.axi)
        axi.pass_through(m, self.memory, writer.axi)
        m.d.comb += [
            reader.clear.eq(self.clear),
            writer.clear.eq(self.clear),
            self.quiet.eq(reader.quiet & writer.quiet),
            self.moved.eq(reader.moved | writer.moved),
        ]
        return m
