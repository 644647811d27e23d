"""Commands cut into AXI4 bursts: none crosses a 4 KB boundary, none waits for room."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.memory import axi
from rtl.memory.clients import BYTES_BITS, READ_COMMAND

LENGTH_BITS = exact_log2(axi.BURST_BEATS) + 1

BURST = data.StructLayout(
    {"address": unsigned(axi.ADDRESS_BITS), "beats": unsigned(LENGTH_BITS), "last": unsigned(1)}
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
