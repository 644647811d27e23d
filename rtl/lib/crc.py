"""CRC-32 of a stream of chunks, the checksum of zlib and Ethernet, a whole chunk per cycle."""

import zlib
from collections.abc import Sequence
from functools import reduce
from operator import xor

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

CRC_BITS = 32
TERMS = 32  # of a partial sum: two or three levels of LUTs


class Crc32(wiring.Component):
    """``crc`` of all chunks since ``begin``, as :func:`zlib.crc32` has it: one chunk per cycle.

    A CRC is linear in its bits: each bit of the next one is a sum, modulo 2, of bits of the last
    one and of the chunk. The chunk's part is summed up in two steps with a register between them,
    so that the loop has nothing but the last one's part in it. ``LATENCY`` cycles.

    Parameters
    ----------
    bits : int
        Bits of a chunk, whole bytes; the first byte is the lowest.

    Members
    -------
    begin : In(1)
        Forget what was before; at no chunk in the same cycle.
    valid : In(1)
    chunk : In(bits)
    crc : Out(32)
    """

    LATENCY = 2

    def __init__(self, bits: int):
        self.bits = bits
        super().__init__({"begin": In(1), "valid": In(1), "chunk": In(bits), "crc": Out(CRC_BITS)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        zeros = bytes(self.bits // 8)
        constant = zlib.crc32(zeros)
        of_last = [zlib.crc32(zeros, 1 << i) ^ constant for i in range(CRC_BITS)]
        of_chunk = [
            zlib.crc32((1 << i).to_bytes(len(zeros), "little")) ^ constant for i in range(self.bits)
        ]
        follows = Signal()
        m.d.sync += follows.eq(self.valid & ~self.begin)
        for bit in range(CRC_BITS):
            terms = _chosen(self.chunk, of_chunk, bit)
            groups = [terms[i : i + TERMS] for i in range(0, len(terms), TERMS)]
            partial = Signal(len(groups), name=f"partial_{bit}", reset_less=True)
            m.d.sync += partial.eq(Cat(reduce(xor, group) for group in groups))
            last = _chosen(self.crc, of_last, bit)
            with m.If(follows):
                total = reduce(xor, [*partial, *last], Const(constant >> bit & 1, 1))
                m.d.sync += self.crc[bit].eq(total)
        with m.If(self.begin):
            m.d.sync += self.crc.eq(0)
        return m


def _chosen(value: Value, columns: Sequence[int], bit: int) -> list[Value]:
    """Bits of a value whose columns of the matrix have ``bit``."""
    return [value[i] for i, column in enumerate(columns) if column >> bit & 1]
