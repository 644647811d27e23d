"""The instruction set, in one table.

Encoder, decoder, disassembler, docs/isa.md and the RTL's layouts (:mod:`rtl.isa.layouts`) are
all derived from :data:`INSTRUCTIONS`. An instruction is 256 bits, little-endian in memory.

Every unit takes its instructions in order from a queue of its own. Units meet only through
counting semaphores, one for each ordered pair of units: an instruction starts when the semaphore
of every producer in its ``wait`` set is above zero, and lowers each by one; when its last write
has landed it raises the semaphore of every consumer in its ``signal`` set.

A program is a loop body, run once per image: an instruction may wait for one of the image before.
In the first image none was there; BEGIN's *credits* are what the semaphores start from instead,
and what a balanced program leaves in them (docs/design/0006-image-overlap.md).
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from amaranth.lib import enum

INSTRUCTION_BITS = 256
INSTRUCTION_BYTES = INSTRUCTION_BITS // 8
SEMAPHORE_BITS = 8
CREDIT_BITS = 5
CHECKSUM_BITS = 32
IMAGES_IN_FLIGHT = 2  # at most; their parities tell them apart


class Unit(IntEnum):
    """Units with an instruction queue; a value is the unit's bit in ``wait`` and ``signal``."""

    LOAD = 0
    MATMUL = 1
    NORM = 2
    SOFTMAX = 3
    STORE = 4


UNITS = len(Unit)


class UnitSet(IntFlag):
    """A set of units, one bit each."""

    NONE = 0
    LOAD = 1 << Unit.LOAD
    MATMUL = 1 << Unit.MATMUL
    NORM = 1 << Unit.NORM
    SOFTMAX = 1 << Unit.SOFTMAX
    STORE = 1 << Unit.STORE


class Opcode(enum.IntEnum, shape=4):
    """Kinds of instructions; 0 is none, so that zeroed memory is no program."""

    BEGIN = 1
    LOAD = 2
    MATMUL = 3
    NORM = 4
    SOFTMAX = 5
    STORE = 6
    END = 7
    SELECT = 8


SELECTION = (Opcode.SELECT,)
"""Instructions of engines that select tokens; the others refuse them as unknown."""

UNIT_OF = {
    Opcode.LOAD: Unit.LOAD,
    Opcode.MATMUL: Unit.MATMUL,
    Opcode.NORM: Unit.NORM,
    Opcode.SOFTMAX: Unit.SOFTMAX,
    Opcode.STORE: Unit.STORE,
    Opcode.SELECT: Unit.SOFTMAX,
}
OPCODE_OF = {unit: opcode for opcode, unit in UNIT_OF.items() if opcode not in SELECTION}
"""The instruction that a unit is there for; the softmax unit also takes SELECT."""


class Base(enum.IntEnum, shape=2):
    """Memory regions that offsets count from; each has a base and a limit register."""

    MODEL = 0
    IMAGE = 1
    OUTPUT = 2


class Target(enum.IntEnum, shape=3):
    """The scratchpad that LOAD writes."""

    WEIGHTS = 0
    PARAMETERS = 1
    GELU = 2
    EXPONENTS = 3
    RESIDUAL = 4
    PIXELS = 5


class Activations(enum.IntEnum, shape=1):
    """The source of the array's activation port."""

    CODES = 0
    PIXELS = 1


class Weights(enum.IntEnum, shape=2):
    """The source of the array's weight port."""

    RING = 0
    KEYS = 1
    VALUES = 2


class Destination(enum.IntEnum, shape=3):
    """The scratchpad that the drain writes."""

    ACTIVATIONS = 0
    KEYS = 1
    VALUES = 2
    SCORES = 3
    RESIDUAL = 4
    KEPT = 5  # RESIDUAL, of tokens that stay: each goes to its place among them


class Format(enum.IntEnum, shape=2):
    """The code that the drain clips to."""

    ACT_SIGNED = 0
    ACT_UNSIGNED = 1
    INT8 = 2
    INT16 = 3


@dataclass(frozen=True)
class Field:
    """One field of an instruction, unsigned unless an enum gives its values.

    Engines without selection of tokens have no field with ``selection``: it is 0 there.
    """

    name: str
    bits: int
    doc: str
    enum: type[IntEnum] | type[IntFlag] | None = None
    selection: bool = False


HEADER = (
    Field("opcode", 4, "what to do", Opcode),
    Field("wait", UNITS, "producers whose semaphore towards this unit must be above zero", UnitSet),
    Field("signal", UNITS, "consumers whose semaphore is raised at completion", UnitSet),
    Field("reserved", 18, "0"),
)


def credit(producer: Unit, consumer: Unit) -> str:
    """Name the field of BEGIN for the semaphore of a pair of units."""
    return f"{producer.name.lower()}_to_{consumer.name.lower()}"


_CREDITS = tuple(
    Field(credit(producer, consumer), CREDIT_BITS, "the semaphore before the first image")
    for producer in Unit
    for consumer in Unit
)
_LANES = (
    Field("lane_first", 6, "first token lane that takes part"),
    Field("lane_count", 6, "token lanes that take part, at least 1"),
)

INSTRUCTIONS: dict[Opcode, tuple[Field, ...]] = {
    Opcode.BEGIN: (
        Field("engine", 64, "hash of the engine that the program is for"),
        Field("instructions", 24, "instructions of the program, BEGIN and END included"),
        *_CREDITS,
    ),
    Opcode.LOAD: (
        Field("target", 3, "scratchpad", Target),
        Field("base", 2, "memory region", Base),
        Field("offset", 32, "first byte, from the region's base"),
        Field("bytes", 24, "bytes to read, at least 1"),
        Field("destination", 16, "first word; PIXELS: of the first segment's token tile"),
        Field(
            "stride",
            12,
            "RESIDUAL: words from one group of 4 tokens to the next; "
            "PIXELS: words from one token tile to the next",
        ),
        Field("token", 12, "RESIDUAL: first token"),
        Field("row_words", 8, "RESIDUAL: words per token"),
        Field("lane_first", 6, "PIXELS: bank of the strip's first patch"),
        Field("segment_bytes", 8, "PIXELS: bytes of one row of a patch"),
        Field("segments", 8, "PIXELS: patches side by side in the strip"),
    ),
    Opcode.MATMUL: (
        Field("activations", 1, "source of the activation port", Activations),
        Field("weights", 2, "source of the weight port", Weights),
        Field("act_signed", 1, "activation codes are signed"),
        Field("activation_address", 16, "first granule (CODES) or word (PIXELS) of the tile"),
        Field("depth_words", 10, "words of the reduction, at least 1"),
        Field("weight_address", 16, "RING: first word; KEYS: first granule; VALUES: first word"),
        Field(
            "weight_step",
            12,
            "KEYS: granules from one row tile (row_lanes keys) to the next; "
            "VALUES: words from one depth word (depth_lanes keys) to the next",
        ),
        Field("row_tiles", 6, "row tiles, 1 to 32"),
        Field("bits8", 32, "RING: bit i is set where row tile i holds 8-bit weights"),
        Field("parameter_address", 12, "row parameters of the first row tile"),
        Field("destination", 3, "scratchpad", Destination),
        Field("format", 2, "code that results are clipped to", Format),
        Field("gelu", 1, "pass the INT8 code through the GELU table"),
        Field("gelu_table", 1, "which of the two tables"),
        Field("accumulate", 1, "RESIDUAL: add to what is there, saturating, or overwrite; KEPT: 1"),
        Field("residual_shift", 4, "RESIDUAL, KEPT: left shift before the addition"),
        Field("token_scale", 1, "requantize with the slot's scales by token, not by row"),
        Field("slot", 2, "SCORES: where maxima go; token_scale: where scales come from"),
        Field("destination_address", 16, "word of the first row tile and the group of ``token``"),
        Field(
            "destination_stride",
            12,
            "words from one group of tokens to the next: KEYS "
            "row_lanes tokens, VALUES depth_lanes, RESIDUAL and KEPT 4; SCORES 4 lanes",
        ),
        Field("token", 12, "token of lane 0"),
        *_LANES,
        Field("keys", 12, "SCORES: valid keys; the maximum ignores the others"),
        Field("mask_first", 8, "ACTIVATIONS: first granule to be written, from the first row tile"),
        Field("mask_count", 8, "ACTIVATIONS: granules to be written"),
    ),
    Opcode.NORM: (
        Field("source_address", 16, "residual word of the group of 4 that holds token ``token``"),
        Field("source_stride", 12, "words from one group of 4 tokens to the next"),
        Field("row_words", 8, "words per token"),
        Field("token", 12, "token of lane 0"),
        *_LANES,
        Field("destination_address", 16, "first activation word"),
        Field("width", 11, "channels, docs/numerics.md: D"),
        Field("epsilon", 32, "docs/numerics.md"),
        Field("gain", 16, "docs/numerics.md: G"),
        Field("shift", 4, "docs/numerics.md: s0"),
        Field("zero", 8, "zero point"),
        Field("signed", 1, "signed codes"),
        Field("exponent_address", 12, "first word of the channel exponents"),
    ),
    Opcode.SOFTMAX: (
        Field("source_address", 16, "first score word of lane 0"),
        Field("source_stride", 12, "words per 4 lanes"),
        Field("key_words", 8, "words per token"),
        Field("keys", 12, "valid keys; the others get weight 0"),
        *_LANES,
        Field("destination_address", 16, "first activation word"),
        Field("slot", 2, "where maxima come from and scales go"),
        Field("multiplier", 17, "docs/numerics.md: M"),
        Field("shift", 6, "docs/numerics.md: S"),
        Field("context_multiplier", 16, "docs/numerics.md: C"),
        Field("context_shift", 6, "docs/numerics.md: S'"),
        Field("importance", 1, "the last lane's weights add to importance", selection=True),
        Field("importance_first", 1, "the importance before counts as 0", selection=True),
    ),
    Opcode.STORE: (
        Field("base", 2, "memory region", Base),
        Field("offset", 32, "first byte, from the region's base, a multiple of a beat"),
        Field("source_address", 16, "residual word of the group of 4 that holds token ``token``"),
        Field("token", 12, "first token to store"),
        Field("row_words", 8, "words per token, at least 1; and from one group of 4 to the next"),
        Field("more_words", 13, "words of the tokens that follow the first one"),
        Field("int16", 1, "store words as int16; else as int32"),
    ),
    Opcode.SELECT: (
        Field("patches", 12, "patch tokens, the first ones, each with an importance"),
        Field("keep", 12, "how many of them stay, at least 1, at most ``patches``"),
        Field("others", 12, "tokens behind the patches, which all stay"),
        Field("stride", 12, "residual words from one group of 4 tokens to the next"),
    ),
    Opcode.END: (
        Field("checksum", CHECKSUM_BITS, "CRC-32 of zlib over the whole program, this field as 0"),
    ),
}


def opcodes(selection: bool) -> tuple[Opcode, ...]:
    """Instructions that an engine knows, with or without ``selection`` of tokens."""
    return tuple(opcode for opcode in Opcode if selection or opcode not in SELECTION)


def fields_of(opcode: Opcode, selection: bool = True) -> tuple[Field, ...]:
    """Fields of an instruction, header and operands, lowest bits first.

    Fields that only engines with ``selection`` of tokens have are there for these alone.
    """
    operands = INSTRUCTIONS[opcode]
    return HEADER + tuple(field for field in operands if selection or not field.selection)


CHECKSUM_OFFSET = sum(field.bits for field in HEADER)
"""Lowest bit of END's checksum, its first operand."""


for _opcode in Opcode:
    assert sum(field.bits for field in fields_of(_opcode)) <= INSTRUCTION_BITS, _opcode


def credit_operands(credits: Sequence[Sequence[int]]) -> dict[str, int]:
    """Operands of BEGIN that state ``credits``, [producer][consumer]."""
    return {
        credit(producer, consumer): credits[producer][consumer]
        for producer in Unit
        for consumer in Unit
    }


@dataclass(frozen=True)
class Instruction:
    """An instruction: opcode, semaphores, and a value for every operand."""

    opcode: Opcode
    operands: dict[str, int]
    wait: UnitSet = UnitSet.NONE
    signal: UnitSet = UnitSet.NONE

    def __post_init__(self) -> None:
        names = {field.name for field in INSTRUCTIONS[self.opcode]}
        if unknown := set(self.operands) - names:
            raise ValueError(f"{self.opcode.name} has no operand {sorted(unknown)}")

    def __getitem__(self, name: str) -> int:
        return self.operands.get(name, 0)

    @property
    def unit(self) -> Unit | None:
        """Unit that executes the instruction; none for BEGIN and END."""
        return UNIT_OF.get(self.opcode)

    @property
    def credits(self) -> list[list[int]]:
        """Credits of a BEGIN, [producer][consumer]."""
        return [[self[credit(producer, consumer)] for consumer in Unit] for producer in Unit]

    def encode(self) -> bytes:
        """Encode the instruction in 32 bytes.

        Raises
        ------
        ValueError
            If an operand does not fit its field; names operand, value and limit.
        """
        header = {"opcode": self.opcode, "wait": self.wait, "signal": self.signal, "reserved": 0}
        values = {field.name: self[field.name] for field in INSTRUCTIONS[self.opcode]} | header
        word = offset = 0
        for field in fields_of(self.opcode):
            value = int(values[field.name])
            if not 0 <= value < 1 << field.bits:
                raise ValueError(
                    f"{self.opcode.name} {field.name} = {value} does not fit {field.bits} bits"
                )
            word |= value << offset
            offset += field.bits
        return word.to_bytes(INSTRUCTION_BYTES, "little")

    @classmethod
    def decode(cls, data: bytes) -> "Instruction":
        """Decode 32 bytes, as :meth:`encode` makes them.

        Raises
        ------
        ValueError
            If the opcode is unknown or the data are not 32 bytes.
        """
        if len(data) != INSTRUCTION_BYTES:
            raise ValueError(f"an instruction has {INSTRUCTION_BYTES} bytes, not {len(data)}")
        word = int.from_bytes(data, "little")
        opcode = Opcode(word & ((1 << HEADER[0].bits) - 1))
        values = {}
        for field in fields_of(opcode):
            raw = word & ((1 << field.bits) - 1)
            values[field.name] = field.enum(raw) if field.enum else raw
            word >>= field.bits
        header = {field.name: values.pop(field.name) for field in HEADER}
        return cls(opcode, values, UnitSet(header["wait"]), UnitSet(header["signal"]))

    def __str__(self) -> str:
        operands = " ".join(
            f"{field.name}={_show(field, self[field.name])}"
            for field in INSTRUCTIONS[self.opcode]
            if field not in _CREDITS or self[field.name]
        )
        waits = f" wait={_units(self.wait)}" if self.wait else ""
        signals = f" signal={_units(self.signal)}" if self.signal else ""
        return f"{self.opcode.name:<7} {operands}{waits}{signals}".rstrip()


def assemble(instructions: Iterable[Instruction]) -> bytes:
    """Encode a program, with the checksum in its END."""
    return seal(b"".join(instruction.encode() for instruction in instructions))


def seal(code: bytes) -> bytes:
    """Put the checksum of a program into its last instruction, if that is an END."""
    end = code[-INSTRUCTION_BYTES:]
    if not end or end[0] & 0xF != Opcode.END:
        return code
    place = len(code) - INSTRUCTION_BYTES + CHECKSUM_OFFSET // 8
    before, behind = code[:place], code[place + CHECKSUM_BITS // 8 :]
    checksum = zlib.crc32(before + bytes(CHECKSUM_BITS // 8) + behind)
    return before + checksum.to_bytes(CHECKSUM_BITS // 8, "little") + behind


def _show(field: Field, value: int) -> str:
    if field.enum:
        return field.enum(value).name.lower()
    return hex(value) if field.bits >= 32 else str(value)


def _units(units: UnitSet) -> str:
    return "+".join(unit.name.lower() for unit in Unit if units & (1 << unit))
