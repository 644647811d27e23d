"""An engine's port to memory, spread over the ports of a board. Reads here, writes beside it.

::

    engine ── cut ── deal ─┬─ port 0 ── room? ── AR      R ── pack ── queue ─┬─ collect ── engine
                           ├─ port 1 ──   …                       …          │
                           └─ …           └─── last piece of its burst? ─────┘
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.lib.pipeline import choose
from rtl.lib.streams import Queue, Skid, connect
from rtl.memory import axi
from rtl.memory.bursts import Burst
from rtl.memory.clients import beat_layout
from rtl.memory.reader import BeatBuffer
from rtl.soc.narrowing import ENDS, WriteNarrower, pass_attributes
from rtl.soc.pieces import MemoryPorts, PieceCutter

ROOM_BYTES = 8192  # that a port may have asked for


class PieceDealer(wiring.Component):
    """Deals pieces to the ports in turn, and notes which of them end a burst. No register.

    Members
    -------
    i : In(stream of Burst)
    o : Out(stream of Burst) x ports
    ends : Out(stream of ENDS)
    """

    def __init__(self, ports: int):
        pieces = stream.Signature(Burst)
        super().__init__(
            {"i": In(pieces), "o": Out(pieces).array(ports), "ends": Out(stream.Signature(ENDS))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        turn, ready = _turn(len(self.o)), Signal()
        m.d.comb += [
            ready.eq(choose([port.ready for port in self.o], turn)),
            self.i.ready.eq(ready & self.ends.ready),
            self.ends.valid.eq(self.i.valid & ready),
            self.ends.p.last.eq(self.i.p.last),
        ]
        for index, port in enumerate(self.o):
            m.d.comb += [
                port.valid.eq(self.i.valid & self.ends.ready & (turn == index)),
                port.p.eq(self.i.p),
            ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += turn.eq(_following(turn, len(self.o)))
        return m


class PortReader(wiring.Component):
    """Reads the pieces that fall to one port; each of its beats has a place before it is asked for.

    So data never wait on the bus, whatever the other ports do.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat of the engine.
    port_bytes : int
        Bytes per beat of the port.
    piece_beats : int
        Beats of the engine in a whole piece.
    room : int
        Beats of the engine that the port may have asked for, a power of two.

    Members
    -------
    pieces : In(stream of Burst)
        In beats of the engine.
    beats : Out(stream of beat_layout)
        Beats of the engine; ``last`` of the piece.
    bus : Out(Axi4Read)
        Without AxCACHE and AxPROT.
    """

    def __init__(self, data_bytes: int, port_bytes: int, piece_beats: int, room: int):
        self.data_bytes, self.port_bytes = data_bytes, port_bytes
        self.piece_beats, self.room = piece_beats, room
        super().__init__(
            {
                "pieces": In(stream.Signature(Burst)),
                "beats": Out(stream.Signature(beat_layout(data_bytes))),
                "bus": Out(axi.Axi4Read(port_bytes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.chosen = chosen = Skid(Burst)
        m.submodules.buffer = buffer = BeatBuffer(self.data_bytes, self.room)
        connect(m, producer=buffer.o, consumer=wiring.flipped(self.beats))
        pieces, bus = self.pieces, self.bus
        parts = exact_log2(self.data_bytes // self.port_bytes)
        room = Signal(range(self.room + 1), init=self.room)
        fits = Signal(init=1)  # a cycle late: there was room for two whole pieces
        goes = Signal()
        m.d.comb += [
            goes.eq(pieces.valid & pieces.ready),
            chosen.i.p.eq(pieces.p),
            chosen.i.valid.eq(pieces.valid & fits),
            pieces.ready.eq(chosen.i.ready & fits),
            bus.araddr.eq(chosen.o.p.address),
            bus.arlen.eq((chosen.o.p.beats << parts) - 1),
            bus.arvalid.eq(chosen.o.valid),
            chosen.o.ready.eq(bus.arready),
        ]
        m.d.sync += [
            room.eq(room - Mux(goes, pieces.p.beats, 0) + buffer.taken),
            fits.eq(room >= 2 * self.piece_beats),
        ]
        self._pack(m, buffer.i, parts)
        return m

    def _pack(self, m: Module, beat: wiring.PureInterface, parts: int) -> None:
        """Make a beat of the engine from ``2 ** parts`` of the port, the first one lowest."""
        bus = self.bus
        whole, word, failed = Const(1), bus.rdata, bus.rresp[1]
        if parts:
            place, earlier_failed = Signal(parts), Signal()
            earlier = Signal(8 * (self.data_bytes - self.port_bytes), reset_less=True)
            whole, word = place.all(), Cat(earlier, bus.rdata)
            failed = earlier_failed | bus.rresp[1]
            with m.If(bus.rvalid):
                m.d.sync += [
                    place.eq(place + 1),
                    earlier.eq(word[8 * self.port_bytes :]),
                    earlier_failed.eq(failed & ~whole),
                ]
        m.d.comb += [
            bus.rready.eq(1),
            beat.valid.eq(bus.rvalid & whole),
            beat.p.data.eq(word),
            beat.p.error.eq(failed),
            beat.p.last.eq(bus.rlast),
        ]


class BeatCollector(wiring.Component):
    """Takes the beats of one piece from each port in turn: the order in which they were dealt.

    No register.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat.
    ports : int

    Members
    -------
    i : In(stream of beat_layout) x ports
        ``last`` of the piece.
    ends : In(stream of ENDS)
    o : Out(stream of beat_layout)
        ``last`` of the burst.
    """

    def __init__(self, data_bytes: int, ports: int):
        beats = stream.Signature(beat_layout(data_bytes))
        super().__init__(
            {"i": In(beats).array(ports), "ends": In(stream.Signature(ENDS)), "o": Out(beats)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        turn, ends = _turn(len(self.i)), self.ends
        beat = data.View(self.o.p.shape(), choose([port.p.as_value() for port in self.i], turn))
        moves = self.o.valid & self.o.ready
        m.d.comb += [
            self.o.valid.eq(choose([port.valid for port in self.i], turn) & ends.valid),
            self.o.p.eq(beat),
            self.o.p.last.eq(beat.last & ends.p.last),
            ends.ready.eq(moves & beat.last),
        ]
        for index, port in enumerate(self.i):
            m.d.comb += port.ready.eq(self.o.ready & ends.valid & (turn == index))
        with m.If(moves & beat.last):
            m.d.sync += turn.eq(_following(turn, len(self.i)))
        return m


class Interleaver(wiring.Component):
    """An engine's port on one side, narrower ports to the same memory on the other.

    A burst is cut at blocks of 256 bytes, or of 16 beats of a port; piece k of all goes to port
    k mod n, whatever its address, and its data return in the engine's order. Writes, of which there
    are few, take the first port. It holds nothing when the engine has nothing outstanding, so the
    engine's own reset needs none here.

    The first beat comes ``latency`` cycles later than without, and memory gives at most
    ``n * port_bytes`` per cycle.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat of the engine.
    ports : MemoryPorts

    Members
    -------
    engine : In(Axi4)
    first : Out(Axi4)
    others : Out(Axi4Read) x (n - 1)

    Raises
    ------
    ValueError
        If a port is wider than the engine's, or a piece of it shorter than the engine's beat.

    Source: docs/design/0021-ports.md.
    """

    PIECES = 64  # pieces that are under way

    def __init__(self, data_bytes: int, ports: MemoryPorts):
        self.check(data_bytes, ports)
        self.data_bytes, self.ports = data_bytes, ports
        super().__init__(
            {
                "engine": In(axi.Axi4(data_bytes)),
                "first": Out(axi.Axi4(ports.bytes)),
                "others": Out(axi.Axi4Read(ports.bytes)).array(ports.count - 1),
            }
        )

    @property
    def large(self) -> list[str]:
        """Submodules that want a copy of the reset of their own."""
        return ["beats", "writes", *(f"port_{index}" for index in range(self.ports.count))]

    @staticmethod
    def check(data_bytes: int, ports: MemoryPorts) -> None:
        """Raise a ValueError where ports cannot carry an engine's beats."""
        if not ports.bytes <= data_bytes <= ports.piece_bytes:
            raise ValueError(
                f"ports of {ports.bytes} bytes cannot carry beats of {data_bytes}: these must have"
                f" between {ports.bytes} and {ports.piece_bytes}"
            )

    @staticmethod
    def latency(data_bytes: int, ports: MemoryPorts) -> int:
        """Return the cycles that a read takes longer through the interleaver."""
        asks = PieceCutter.LATENCY + 2 * Skid.LATENCY
        return asks + data_bytes // ports.bytes - 1 + BeatBuffer.LATENCY + Skid.LATENCY

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size, count, port_bytes = self.data_bytes, self.ports.count, self.ports.bytes
        piece_beats = self.ports.piece_bytes // size
        m.submodules.cutter = cutter = PieceCutter(size, piece_beats)
        m.submodules.pieces = pieces = Skid(Burst)
        m.submodules.dealer = dealer = PieceDealer(count)
        m.submodules.ends = ends = Queue(ENDS, self.PIECES)
        m.submodules.collector = collector = BeatCollector(size, count)
        m.submodules.beats = beats = Skid(beat_layout(size))
        m.submodules.writes = writes = WriteNarrower(size, self.ports)
        connect(m, producer=cutter.o, consumer=pieces.i)
        connect(m, producer=pieces.o, consumer=dealer.i)
        connect(m, producer=dealer.ends, consumer=ends.i)
        connect(m, producer=ends.o, consumer=collector.ends)
        connect(m, producer=collector.o, consumer=beats.i)
        for index, bus in enumerate((self.first, *self.others)):
            port = PortReader(size, port_bytes, piece_beats, ROOM_BYTES // size)
            m.submodules[f"port_{index}"] = port
            connect(m, producer=dealer.o[index], consumer=port.pieces)
            connect(m, producer=port.beats, consumer=collector.i[index])
            axi.pass_through(m, bus, port.bus)
            pass_attributes(m, bus, self.engine, "ar")
        axi.pass_through(m, self.first, writes.port)
        self._connect_engine(m, cutter.i, beats.o, writes.engine)
        return m

    def _connect_engine(
        self,
        m: Module,
        bursts: wiring.PureInterface,
        beats: wiring.PureInterface,
        writes: wiring.PureInterface,
    ) -> None:
        engine = self.engine
        for name, member in writes.signature.members.items():
            inside, outside = getattr(writes, name), getattr(engine, name)
            m.d.comb += inside.eq(outside) if member.flow is In else outside.eq(inside)
        m.d.comb += [
            bursts.p.address.eq(engine.araddr),
            bursts.p.beats.eq(engine.arlen + 1),
            bursts.valid.eq(engine.arvalid),
            engine.arready.eq(bursts.ready),
            engine.rdata.eq(beats.p.data),
            engine.rresp.eq(Mux(beats.p.error, axi.Response.SLVERR, axi.Response.OKAY)),
            engine.rlast.eq(beats.p.last),
            engine.rvalid.eq(beats.valid),
            beats.ready.eq(engine.rready),
        ]


def _turn(ports: int) -> Signal:
    """Make the number of a port; a signal of no bits would be none in Verilog."""
    return Signal(range(max(2, ports)), name="turn")


def _following(turn: Signal, ports: int) -> Value:
    """Return the number of the next port, the first one's behind the last."""
    return Mux(turn == ports - 1, 0, turn + 1)
