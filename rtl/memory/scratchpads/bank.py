"""A bank: the memory that scratchpads are made of."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2


class Bank(wiring.Component):
    """One memory of ``depth`` words, each of ``parts`` with a write enable of their own.

    A read answers after ``READ_LATENCY`` cycles: memory, then its output register.

    Members
    -------
    write_enable : In(parts)
    write_word : In(address)
    write_data, read_data : In, Out(parts * part_bits)
    read_enable : In(1)
    read_word : In(address)
    """

    def __init__(self, depth: int, parts: int, part_bits: int):
        self.parameters = (depth, parts, part_bits)
        address, word = ceil_log2(depth), parts * part_bits
        super().__init__(
            {
                "write_enable": In(parts),
                "write_word": In(address),
                "write_data": In(word),
                "read_enable": In(1),
                "read_word": In(address),
                "read_data": Out(word),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth, parts, part_bits = self.parameters
        word = unsigned(parts * part_bits)
        m.submodules.words = words = memory.Memory(shape=word, depth=depth, init=[])
        write, read = words.write_port(granularity=part_bits), words.read_port()
        m.d.comb += [
            write.en.eq(self.write_enable),
            write.addr.eq(self.write_word),
            write.data.eq(self.write_data),
            read.en.eq(self.read_enable),
            read.addr.eq(self.read_word),
        ]
        m.d.sync += self.read_data.eq(read.data)
        return m
