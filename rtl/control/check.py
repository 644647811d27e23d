"""Checks of a program beside the stream of its instructions: checksum, bits without meaning."""

from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.isa.faults import FETCH, Fault, FaultCode, fault
from rtl.isa.instructions import (
    CHECKSUM_BITS,
    CHECKSUM_OFFSET,
    INSTRUCTION_BITS,
    INSTRUCTION_BYTES,
    Opcode,
    fields_of,
    opcodes,
)
from rtl.isa.layouts import HEADER_LAYOUT, NUMBER_BITS
from rtl.lib.crc import Crc32

UNITLESS = (Opcode.BEGIN, Opcode.END)  # they wait for nobody, and signal nobody


def used_bits(selection: bool) -> dict[Opcode, int]:
    """Count the bits that each instruction has fields for, with or without selection of tokens."""
    return {
        opcode: sum(field.bits for field in fields_of(opcode, selection))
        for opcode in opcodes(selection)
    }


class ProgramCheck(wiring.Component):
    """Faults for a wrong checksum, and for bits of an instruction that have no meaning and are set.

    It watches the stream and holds nothing up. Instructions behind a damaged one may start, but the
    fault is there ``LATENCY`` cycles after the damaged one left the gearbox, or after END did: long
    before the image counts as done.

    Where beats are narrower than an instruction, the checksum is formed of beats, else of
    instructions: a chunk per cycle in both cases.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    begin : In(1)
        The next instruction is number 0.
    beat : In(8 * memory_bytes)
    beat_moves : In(1)
        A beat is taken into the gearbox.
    instruction : In(256)
    number : In(NUMBER)
    last : In(1)
        It is the program's last; what follows in its beat is none.
    moves : In(1)
        An instruction leaves the gearbox.
    fault : Out(Fault)
    """

    LATENCY = Crc32.LATENCY + 1

    def __init__(self, config: EngineConfig):
        self.by_beats = config.memory_bytes < INSTRUCTION_BYTES
        self.chunk_bits = 8 * min(config.memory_bytes, INSTRUCTION_BYTES)
        self.used_bits = used_bits(config.select_tokens > 0)
        super().__init__(
            {
                "begin": In(1),
                "beat": In(8 * config.memory_bytes),
                "beat_moves": In(1),
                "instruction": In(INSTRUCTION_BITS),
                "number": In(NUMBER_BITS),
                "last": In(1),
                "moves": In(1),
                "fault": Out(Fault),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = Crc32(self.chunk_bits)
        m.d.comb += crc.begin.eq(self.begin)
        self._feed(m, crc)
        inside, moves = Signal(), Signal()  # an instruction of the program
        with m.If(self.begin):
            m.d.sync += inside.eq(1)
        with m.Elif(self.moves & self.last):
            m.d.sync += inside.eq(0)
        m.d.sync += moves.eq(self.moves & inside & ~self.begin)
        opcode, unused_bits = self._unused(m)
        last, number, field = Signal(), Signal(NUMBER_BITS), Signal(CHECKSUM_BITS)
        m.d.sync += [
            last.eq(self.last),
            number.eq(self.number),
            field.eq(self.instruction[CHECKSUM_OFFSET:][:CHECKSUM_BITS]),
        ]
        unused, ends, late_number, late_field = (
            Signal(), Signal(), Signal.like(number), Signal.like(field),
        )  # fmt: skip
        m.d.sync += [
            unused.eq(moves & unused_bits),
            ends.eq(moves & last & (opcode == Opcode.END)),
            late_number.eq(number),
            late_field.eq(field),
        ]
        code = Mux(unused, FaultCode.OPCODE, FaultCode.CHECKSUM)
        wrong = unused | (ends & (crc.crc != late_field))  # crc: of all that left before
        m.d.sync += self.fault.eq(fault(wrong, code, FETCH, late_number))
        return m

    def _feed(self, m: Module, crc: Crc32) -> None:
        """Give the checksum its chunks, END's field as 0."""
        source, moves = (
            (self.beat, self.beat_moves) if self.by_beats else (self.instruction, self.moves)
        )
        chunks = INSTRUCTION_BITS // self.chunk_bits
        is_end, index = Signal(), Const(0, 1)
        starts_end = source[: Opcode.as_shape().width] == Opcode.END
        m.d.comb += is_end.eq(starts_end)
        if chunks > 1:  # Verilog has no signals without bits
            index, was_end = Signal(range(chunks)), Signal()
            m.d.comb += is_end.eq(Mux(index == 0, starts_end, was_end))
            with m.If(moves):
                m.d.sync += [was_end.eq(is_end), index.eq(index + 1)]
            with m.If(self.begin):
                m.d.sync += index.eq(0)
        at, offset = divmod(CHECKSUM_OFFSET, self.chunk_bits)
        field = Const((1 << CHECKSUM_BITS) - 1 << offset, self.chunk_bits)
        m.d.comb += [
            crc.valid.eq(moves),
            crc.chunk.eq(Mux(is_end & (index == at), source & ~field, source)),
        ]

    def _unused(self, m: Module) -> tuple[Value, Value]:
        """Return, a cycle later, the opcode, and whether a bit is set that it does not use."""
        word = self.instruction
        header = HEADER_LAYOUT(word[: HEADER_LAYOUT.size])
        opcode = Signal(Opcode, init=Opcode.BEGIN)  # 0 is none
        m.d.sync += opcode.eq(header.opcode)
        found = [(Cat(header.wait, header.signal), UNITLESS)]
        borders = sorted({*self.used_bits.values(), INSTRUCTION_BITS})
        for first, end in pairwise(borders):
            shorter = [opcode for opcode, used in self.used_bits.items() if used <= first]
            found.append((word[first:end], shorter))
        flags = Signal(len(found))
        m.d.sync += [flag.eq(bits.any()) for flag, (bits, _) in zip(flags, found, strict=True)]
        matches = [opcode.matches(*opcodes) for _, opcodes in found]
        return opcode, Cat(flag & match for flag, match in zip(flags, matches, strict=True)).any()
