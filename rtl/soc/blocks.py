"""Blocks of memory, word by word: to bytes, and from the bytes of a payload."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, Signature
from amaranth.utils import ceil_log2, exact_log2

from boards.host.frames import CRC_MAX, PAYLOAD_MAX

WORD_BYTES = 8
WORD_BITS = 8 * WORD_BYTES
WORDS = CRC_MAX // WORD_BYTES  # that a block may have, and a memory
WAIT_CYCLES = 3  # from an address to its word


class WordRange(data.Struct):
    """A range of memory in words."""

    first: ceil_log2(WORDS)
    words: ceil_log2(WORDS + 1)


class WordPort(Signature):
    """One port of a memory of words of 8 bytes, as its user sees it.

    Members
    -------
    address : Out
    read_data : In(64)
        The word at the ``address`` of ``WAIT_CYCLES`` before; of no meaning if it was written then.
    write_enable : Out(1)
    write_data : Out(64)
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "address": Out(ceil_log2(WORDS)),
                "read_data": In(WORD_BITS),
                "write_enable": Out(1),
                "write_data": Out(WORD_BITS),
            }
        )


class BlockReader(wiring.Component):
    """A block's bytes, the first word's lowest first.

    Members
    -------
    i : In(stream of WordRange)
        Taken after the last byte; constant until then.
    o : Out(stream of 8 bits)
    address : Out
    word : In(64)
        Of a WordPort.
    """

    i: In(stream.Signature(WordRange))
    o: Out(stream.Signature(8))
    address: Out(ceil_log2(WORDS))
    word: In(WORD_BITS)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        done, wait = Signal(ceil_log2(WORDS + 1)), Signal(range(WAIT_CYCLES))
        rest, index = Signal(WORD_BITS), Signal(exact_log2(WORD_BYTES))
        m.d.comb += [self.address.eq(self.i.p.first + done), self.o.p.eq(rest[:8])]
        with m.FSM():
            with m.State("FETCH"):
                with m.If(self.i.valid):
                    m.d.sync += wait.eq(wait + 1)
                with m.If(wait == WAIT_CYCLES - 1):
                    m.d.sync += wait.eq(0)
                    m.next = "WORD"
            with m.State("WORD"):
                m.d.sync += [rest.eq(self.word), done.eq(done + 1)]
                m.next = "BYTES"
            with m.State("BYTES"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [rest.eq(rest >> 8), index.eq(index + 1)]
                    with m.If(index == WORD_BYTES - 1):
                        m.next = "FETCH"
                        with m.If(done == self.i.p.words):
                            m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += done.eq(0)
                m.next = "FETCH"
        return m


class BlockWriter(wiring.Component):
    """A payload's bytes to a block.

    Members
    -------
    i : In(stream of WordRange)
        Taken after the last word; constant until then. It has no more words than a payload.
    index : Out
    byte : In(8)
        The payload's byte ``index``, a cycle later.
    address, write_enable, write_data : Out
        Of a WordPort.
    """

    i: In(stream.Signature(WordRange))
    index: Out(range(PAYLOAD_MAX))
    byte: In(8)
    address: Out(ceil_log2(WORDS))
    write_enable: Out(1)
    write_data: Out(WORD_BITS)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        index, word = Signal(range(PAYLOAD_MAX + 1)), Signal(WORD_BITS)
        within, first = exact_log2(WORD_BYTES), self.i.p.first
        m.d.comb += [
            self.index.eq(index),
            self.address.eq(first + (index >> within) - 1),
            self.write_data.eq(word),
        ]
        with m.FSM():
            with m.State("FETCH"):
                with m.If(self.i.valid):
                    m.d.sync += index.eq(index + 1)
                    m.next = "BYTE"
            with m.State("BYTE"):
                m.d.sync += word.eq(Cat(word[8:], self.byte))
                m.next = "FETCH"
                with m.If(index[:within] == 0):
                    m.next = "WORD"
            with m.State("WORD"):
                m.d.comb += self.write_enable.eq(1)
                m.next = "FETCH"
                with m.If((index >> within) == self.i.p.words):
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += index.eq(0)
                m.next = "FETCH"
        return m
