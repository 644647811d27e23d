"""Bursts of an engine, cut into pieces that a port of a board takes."""

from dataclasses import dataclass

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.memory.axi import BURST_BEATS
from rtl.memory.bursts import LENGTH_BITS, Burst

PIECE_BYTES = 256  # at most: 16 beats of 128 bits, the longest burst inside of a Zynq's processor
MOST_PORTS = 4


@dataclass(frozen=True)
class MemoryPorts:
    """Ports to a board's memory that share the beats of an engine's one.

    Parameters
    ----------
    count : int
        1 to 4. All of them reach the same memory; the first one is written to as well.
    bytes : int
        Bytes per beat of each, 4 to 64.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    count: int
    bytes: int

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST_PORTS:
            raise ValueError(f"count must be between 1 and {MOST_PORTS}, not {self.count}")
        if self.bytes not in (4, 8, 16, 32, 64):
            raise ValueError(f"bytes must be 4, 8, 16, 32 or 64, not {self.bytes}")

    @property
    def piece_bytes(self) -> int:
        """Bytes of a whole piece, which lies in a block of as many."""
        return min(PIECE_BYTES, BURST_BEATS * self.bytes)


class PieceCutter(wiring.Component):
    """Cuts a burst at the ends of blocks of ``piece_beats``: one piece per cycle, without a pause.

    The burst lies in a block of ``BURST_BEATS`` beats, as the engine's do. Its first piece comes
    ``LATENCY`` cycle after it.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat.
    piece_beats : int
        A power of two, at most ``BURST_BEATS``.

    Members
    -------
    i : In(stream of Burst)
        ``last`` has no meaning.
    o : Out(stream of Burst)
        ``last`` of the burst.

    Raises
    ------
    ValueError
        If ``piece_beats`` is out of range.
    """

    LATENCY = 1

    def __init__(self, data_bytes: int, piece_beats: int):
        if piece_beats not in (1, 2, 4, 8, BURST_BEATS):
            raise ValueError(
                f"piece_beats must be a power of two up to {BURST_BEATS}, not {piece_beats}"
            )
        self.data_bytes, self.piece_beats = data_bytes, piece_beats
        bursts = stream.Signature(Burst)
        super().__init__({"i": In(bursts), "o": Out(bursts)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bursts, pieces, piece = self.i, self.o, self.o.p
        address = Signal.like(bursts.p.address)
        first = exact_log2(self.data_bytes)
        beat = address[first : first + exact_log2(BURST_BEATS)]  # in the burst's block
        place = beat[: exact_log2(self.piece_beats)]  # in the piece's
        left, end = Signal(LENGTH_BITS), Signal(LENGTH_BITS)  # beats; up to the block's end
        m.d.comb += [
            end.eq(self.piece_beats - place),
            piece.address.eq(address),
            piece.last.eq(left <= end),
            piece.beats.eq(Mux(piece.last, left, end)),
            bursts.ready.eq(~pieces.valid | (pieces.ready & piece.last)),
        ]
        with m.If(pieces.valid & pieces.ready):
            m.d.sync += [pieces.valid.eq(~piece.last), left.eq(left - end), beat.eq(beat + end)]
        with m.If(bursts.valid & bursts.ready):
            m.d.sync += [
                pieces.valid.eq(1),
                address.eq(bursts.p.address),
                left.eq(bursts.p.beats),
            ]
        return m
