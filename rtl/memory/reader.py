"""Reads of memory: AXI4 channels AR and R, shared by several clients."""

from amaranth.hdl import Module, ResetInserter, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.lib.streams import Queue, Skid, connect
from rtl.memory import axi
from rtl.memory.bursts import Burst, Burster
from rtl.memory.clients import ReadClient, beat_layout


def tag_layout(clients: int) -> data.StructLayout:
    """The client that a burst belongs to, and whether it ends a command."""
    return data.StructLayout({"client": range(clients), "last": unsigned(1)})


class AddressIssue(wiring.Component):
    """Puts bursts on channel AR, the first client's before the second's, and tells whose they are.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat.
    clients : int
        Number of clients.

    Members
    -------
    bursts : In(stream of Burst) x clients
    hold : In(1)
        Take no more bursts; the one on the bus stays until it is accepted.
    tags : Out(stream of tag_layout)
        The clients whose beats will come, in order.
    address : Out(stream of Burst)
        Bursts to channel AR.
    """

    def __init__(self, data_bytes: int, clients: int):
        self.data_bytes = data_bytes
        super().__init__(
            {
                "bursts": In(stream.Signature(Burst)).array(clients),
                "hold": In(1),
                "tags": Out(stream.Signature(tag_layout(clients))),
                "address": Out(stream.Signature(Burst)),
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


class BeatRouter(wiring.Component):
    """The way of beats from channel R to the client whose burst they belong to. No register.

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


class BeatBuffer(wiring.Component):
    """Beats that wait for their client: a queue, a register behind its memory, a skid buffer.

    ``LATENCY`` cycles when empty, one beat per cycle.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat.
    depth : int
        Number of beats that the queue holds.

    Members
    -------
    i, o : streams of beat_layout
    taken : Out(1)
        A beat left in the cycle before.
    """

    LATENCY = Queue.LATENCY + 1 + Skid.LATENCY

    def __init__(self, data_bytes: int, depth: int):
        self.beat, self.depth = beat_layout(data_bytes), depth
        beats = stream.Signature(self.beat)
        super().__init__({"i": In(beats), "o": Out(beats), "taken": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.queue = queue = Queue(self.beat, self.depth)
        m.submodules.skid = skid = Skid(self.beat)
        connect(m, producer=wiring.flipped(self.i), consumer=queue.i)
        connect(m, producer=skid.o, consumer=wiring.flipped(self.o))
        beat, valid = Signal.like(queue.o.p, reset_less=True), Signal()  # block RAM's register
        m.d.comb += [
            skid.i.p.eq(beat),
            skid.i.valid.eq(valid),
            queue.o.ready.eq(~valid | skid.i.ready),
        ]
        m.d.sync += self.taken.eq(self.o.valid & self.o.ready)
        with m.If(queue.o.ready):
            m.d.sync += [beat.eq(queue.o.p), valid.eq(queue.o.valid)]
        return m


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

    def __init__(self, config: EngineConfig, attributes: axi.AxiAttributes):
        self.data_bytes = config.memory_bytes
        self.attributes = attributes
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
        m.submodules.router = router = BeatRouter(self.data_bytes, clients)
        ports = {"program": self.program, "load": self.load}
        for index, (name, room) in enumerate(self.ROOM.items()):
            burster, beats = Burster(self.data_bytes, room), BeatBuffer(self.data_bytes, room)
            m.submodules[f"{name}_burster"] = cleared(burster)
            m.submodules[f"{name}_beats"] = cleared(beats)
            client = ports[name]
            connect(m, producer=wiring.flipped(client.command), consumer=burster.command)
            connect(m, producer=burster.bursts, consumer=issue.bursts[index])
            connect(m, producer=router.o[index], consumer=beats.i)
            connect(m, producer=beats.o, consumer=wiring.flipped(client.beats))
            m.d.comb += burster.taken.eq(beats.taken)
        connect(m, producer=issue.tags, consumer=tags.i)
        connect(m, producer=tags.o, consumer=router.tags)
        self._connect_bus(m, issue.address, router)
        m.d.comb += [
            issue.hold.eq(self.clear),
            self.quiet.eq(~issue.address.valid & (tags.level == 0)),
        ]
        return m

    def _connect_bus(self, m: Module, address: wiring.PureInterface, router: BeatRouter) -> None:
        bus = self.axi
        axi.drive_address(m, bus, "ar", self.data_bytes, self.attributes)
        m.d.comb += [
            bus.araddr.eq(address.p.address),
            bus.arlen.eq(address.p.beats - 1),
            bus.arvalid.eq(address.valid),
            address.ready.eq(bus.arready),
            router.i.p.data.eq(bus.rdata),
            router.i.p.error.eq(bus.rresp[1]),
            router.i.p.last.eq(bus.rlast),
            router.i.valid.eq(bus.rvalid),
            bus.rready.eq(router.i.ready),
            self.moved.eq((bus.arvalid & bus.arready) | (bus.rvalid & bus.rready)),
        ]
