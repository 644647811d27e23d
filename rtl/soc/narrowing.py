"""Writes of an engine through a narrower port: bursts cut into pieces, beats into parts."""

from amaranth.hdl import Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.lib.pipeline import choose
from rtl.lib.streams import Queue, Skid, connect, fork
from rtl.memory import axi
from rtl.memory.bursts import LENGTH_BITS, Burst
from rtl.memory.writer import Writer
from rtl.soc.pieces import MemoryPorts, PieceCutter

ENDS = data.StructLayout({"last": 1})
"""Of a piece: whether it is its burst's last."""
LENGTH = data.StructLayout({"beats": LENGTH_BITS})
"""Of a piece: its beats, as the engine counts them."""


def pass_attributes(
    m: Module, port: wiring.PureInterface, engine: wiring.PureInterface, prefix: str
) -> None:
    """Wire what an address channel of a port has in common with the engine's."""
    for name in ("id", "burst", "lock", "cache", "prot"):
        m.d.comb += getattr(port, prefix + name).eq(getattr(engine, prefix + name))
    beat_bytes = len(port.wdata if prefix == "aw" else port.rdata) // 8
    m.d.comb += getattr(port, f"{prefix}size").eq(exact_log2(beat_bytes))


class BeatDivider(wiring.Component):
    """Divides the beats of pieces into parts, the lowest first: one part per cycle. No register.

    Parameters
    ----------
    data_bytes, port_bytes : int
        Bytes of a beat, and of a part.

    Members
    -------
    lengths : In(stream of LENGTH)
    beats : In(stream of data and strobe)
    parts : Out(stream of data, strobe and last)
        ``last`` of the piece.
    """

    def __init__(self, data_bytes: int, port_bytes: int):
        self.data_bytes, self.port_bytes = data_bytes, port_bytes
        super().__init__(
            {
                "lengths": In(stream.Signature(LENGTH)),
                "beats": In(stream.Signature(_beat(data_bytes))),
                "parts": Out(stream.Signature(_beat(port_bytes, last=1))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lengths, beats, parts = self.lengths, self.beats, self.parts
        size = self.port_bytes
        count, done = self.data_bytes // size, Signal(LENGTH_BITS)
        place = Signal(exact_log2(count)) if count > 1 else Const(0, 0)
        whole, moves = place.all(), parts.valid & parts.ready
        firsts = range(0, self.data_bytes, size)
        m.d.comb += [
            parts.valid.eq(beats.valid & lengths.valid),
            parts.p.data.eq(choose([beats.p.data[8 * at :][: 8 * size] for at in firsts], place)),
            parts.p.strobe.eq(choose([beats.p.strobe[at:][:size] for at in firsts], place)),
            parts.p.last.eq(whole & (done == lengths.p.beats - 1)),
            beats.ready.eq(parts.ready & lengths.valid & whole),
            lengths.ready.eq(moves & parts.p.last),
        ]
        with m.If(moves):
            m.d.sync += done.eq(Mux(parts.p.last, 0, done + whole))
            if count > 1:
                m.d.sync += place.eq(place + 1)
        return m


def _beat(data_bytes: int, **more: int) -> data.StructLayout:
    """A beat of channel W."""
    return data.StructLayout({"data": 8 * data_bytes, "strobe": unsigned(data_bytes)} | more)


class AnswerCollector(wiring.Component):
    """Makes one answer of those of a burst's pieces: an error if any of them is one.

    It comes ``LATENCY`` cycle after the last of them.

    Members
    -------
    ends : In(stream of ENDS)
        Of the pieces whose answers are to come.
    port : In(stream of Response)
    engine : Out(stream of Response)
    """

    LATENCY = 1

    def __init__(self) -> None:
        answers = stream.Signature(axi.Response)
        super().__init__(
            {"ends": In(stream.Signature(ENDS)), "port": In(answers), "engine": Out(answers)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ends, port, engine = self.ends, self.port, self.engine
        failed, bad = Signal(), Signal()
        moves = port.valid & port.ready
        m.d.comb += [
            bad.eq(failed | port.payload.as_value()[1]),
            port.ready.eq(ends.valid & (~engine.valid | engine.ready)),
            ends.ready.eq(moves),
        ]
        with m.If(engine.ready):
            m.d.sync += engine.valid.eq(0)
        with m.If(moves):
            m.d.sync += failed.eq(bad & ~ends.p.last)
            with m.If(ends.p.last):
                m.d.sync += [
                    engine.valid.eq(1),
                    engine.payload.eq(Mux(bad, axi.Response.SLVERR, axi.Response.OKAY)),
                ]
        return m


class WriteNarrower(wiring.Component):
    """Channels AW, W and B of an engine on a port: a part of a beat per cycle.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat of the engine.
    ports : MemoryPorts

    Members
    -------
    engine : In(Axi4Write)
    port : Out(Axi4Write)
    """

    LENGTHS = 16  # pieces whose data have not gone

    def __init__(self, data_bytes: int, ports: MemoryPorts):
        self.data_bytes, self.ports = data_bytes, ports
        super().__init__(
            {
                "engine": In(axi.Axi4Write(data_bytes)),
                "port": Out(axi.Axi4Write(ports.bytes)),
            }
        )

    @staticmethod
    def latency(data_bytes: int, ports: MemoryPorts) -> int:
        """Return the cycles that the answer of a burst of one beat comes later."""
        asks, parts = PieceCutter.LATENCY + Queue.LATENCY, data_bytes // ports.bytes
        return asks + parts - 1 + Skid.LATENCY + AnswerCollector.LATENCY

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size, port_bytes = self.data_bytes, self.ports.bytes
        piece_beats = self.ports.piece_bytes // size
        unanswered = Writer.OUTSTANDING * axi.BURST_BEATS // piece_beats
        m.submodules.cutter = cutter = PieceCutter(size, piece_beats)
        m.submodules.addresses = addresses = Skid(Burst)
        m.submodules.lengths = lengths = Queue(LENGTH, self.LENGTHS)
        m.submodules.ends = ends = Queue(ENDS, unanswered)
        m.submodules.divider = divider = BeatDivider(size, port_bytes)
        m.submodules.parts = parts = Skid(divider.parts.p.shape())
        m.submodules.answers = answers = AnswerCollector()
        fork(m, cutter.o, addresses.i, lengths.i, ends.i)
        connect(m, producer=lengths.o, consumer=divider.lengths)
        connect(m, producer=divider.parts, consumer=parts.i)
        connect(m, producer=ends.o, consumer=answers.ends)
        self._connect_engine(m, cutter.i, divider.beats, answers.engine)
        self._connect_port(m, addresses.o, parts.o, answers.port)
        return m

    def _connect_engine(
        self,
        m: Module,
        bursts: wiring.PureInterface,
        beats: wiring.PureInterface,
        answers: wiring.PureInterface,
    ) -> None:
        engine = self.engine
        m.d.comb += [
            bursts.p.address.eq(engine.awaddr),
            bursts.p.beats.eq(engine.awlen + 1),
            bursts.valid.eq(engine.awvalid),
            engine.awready.eq(bursts.ready),
            beats.p.data.eq(engine.wdata),
            beats.p.strobe.eq(engine.wstrb),
            beats.valid.eq(engine.wvalid),
            engine.wready.eq(beats.ready),
            engine.bresp.eq(answers.payload),
            engine.bvalid.eq(answers.valid),
            answers.ready.eq(engine.bready),
        ]

    def _connect_port(
        self,
        m: Module,
        pieces: wiring.PureInterface,
        parts: wiring.PureInterface,
        answers: wiring.PureInterface,
    ) -> None:
        port = self.port
        pass_attributes(m, port, self.engine, "aw")
        m.d.comb += [
            port.awaddr.eq(pieces.p.address),
            port.awlen.eq(pieces.p.beats * (self.data_bytes // self.ports.bytes) - 1),
            port.awvalid.eq(pieces.valid),
            pieces.ready.eq(port.awready),
            port.wdata.eq(parts.p.data),
            port.wstrb.eq(parts.p.strobe),
            port.wlast.eq(parts.p.last),
            port.wvalid.eq(parts.valid),
            parts.ready.eq(port.wready),
            answers.payload.eq(port.bresp),
            answers.valid.eq(port.bvalid),
            port.bready.eq(answers.ready),
        ]
