"""Ports of the DMA's clients: commands, and beats of ``memory_bytes``."""

from amaranth.hdl import unsigned
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out, Signature

from rtl.isa.registers import ADDRESS_BITS, BYTES_BITS


class ReadCommand(data.Struct):
    """A request for ``bytes`` (at least 1) from any ``address``."""

    address: unsigned(ADDRESS_BITS)
    bytes: unsigned(BYTES_BITS)


class WriteCommand(data.Struct):
    """The announcement of ``beats`` (at least 1) for an aligned ``address``."""

    address: unsigned(ADDRESS_BITS)
    beats: unsigned(20)


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
    command : Out(stream of ReadCommand)
    beats : In(stream of beat_layout)
    """

    def __init__(self, data_bytes: int):
        super().__init__(
            {
                "command": Out(stream.Signature(ReadCommand)),
                "beats": In(stream.Signature(beat_layout(data_bytes))),
            }
        )


class WriteClient(Signature):
    """The writer's client: ``beats`` (at least 1) from the aligned ``address``, then their data.

    Members, as the client sees them
    --------------------------------
    command : Out(stream of WriteCommand)
    beats : Out(stream)
    done : In(1)
        High for a cycle when memory has answered all of a command's bursts.
    error : In(1)
        With ``done``: one of the answers was an error.
    """

    def __init__(self, data_bytes: int):
        super().__init__(
            {
                "command": Out(stream.Signature(WriteCommand)),
                "beats": Out(stream.Signature(unsigned(8 * data_bytes))),
                "done": In(1),
                "error": In(1),
            }
        )
