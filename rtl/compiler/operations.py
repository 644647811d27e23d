"""Operations: instructions with their tensor and the scratchpad addresses that they touch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from rtl.compiler.runs import RowRun
from rtl.compiler.sizes import Plan
from rtl.compiler.tiles import TokenTile
from rtl.isa.instructions import (
    INSTRUCTION_BYTES,
    UNIT_OF,
    Instruction,
    Opcode,
    Unit,
    UnitSet,
    assemble,
)


class MemorySpace(IntEnum):
    """A memory on the chip that instructions touch; beside each, what its spans count."""

    ACTIVATIONS = 0  # granules
    PIXELS = 1  # words
    KEYS = 2  # words
    VALUES = 3  # words
    SCORES = 4  # words
    RESIDUAL = 5  # tokens; behind the last one: parts of the logits
    WEIGHTS = 6  # words of the ring
    PARAMETERS = 7  # words
    EXPONENTS = 8  # words
    GELU = 9  # tables
    MAXIMA = 10  # slots: the largest score of each token, for softmax
    SCALES = 11  # slots: scale and shift of each token, for the context
    IMPORTANCE = 12  # one: of all patches
    PLACES = 13  # one: of all tokens


class Span(NamedTuple):
    """Addresses ``start`` ... ``stop - 1`` of a memory space, in all its banks.

    Finer than that, nothing is synchronised: two instructions that touch the same address in
    different banks wait for each other.
    """

    space: MemorySpace
    start: int
    stop: int


class Subject(NamedTuple):
    """The tensor that an operation computes or moves: for constants, symbols and reports.

    Parameters
    ----------
    kind : str
        Kind of layer: ``embed``, ``norm``, ``qkv``, ``scores``, ``softmax``, ``context``, ``proj``,
        ``fc1``, ``fc2``, ``pool``, ``head``; or ``load``, ``store``.
    tensor : str
        Name of docs/numerics.md, section 8. Of a LOAD: what it fetches, as in :class:`Chunk`, or
        ``pixels``.
    layer : str
        The matrix or LayerNorm with the constants.
    block : int
        Number of the transformer block; -1 outside of blocks.
    tile : TokenTile or None
    head : int
        Number of the attention head; -1 where there is none.
    row_tile : int
        The first row tile. Of a LOAD of pixels: the strip.
    """

    kind: str
    tensor: str
    layer: str
    block: int = -1
    tile: TokenTile | None = None
    head: int = -1
    row_tile: int = 0


class Operation(NamedTuple):
    """One instruction without waits and signals, its tensor, and all that it touches on the chip.

    Parameters
    ----------
    opcode : Opcode
    operands : dict of str to int
        Fields of :data:`rtl.isa.instructions.INSTRUCTIONS`; missing ones are 0.
    reads, writes : tuple of Span
        Addresses of scratchpads.
    subject : Subject
    run : RowRun or None
        The part of a weight block that a MATMUL multiplies by.
    """

    opcode: Opcode
    operands: dict[str, int]
    reads: tuple[Span, ...]
    writes: tuple[Span, ...]
    subject: Subject
    run: RowRun | None = None

    @property
    def unit(self) -> Unit | None:
        """The unit that executes it; None for BEGIN and END, which the fetcher executes."""
        return UNIT_OF.get(self.opcode)


class Chunk(NamedTuple):
    """A piece of the MODEL region that LOADs read.

    Parameters
    ----------
    content : str
        ``weights``, ``parameters``, ``exponents``, ``gelu`` or ``position``.
    parts : tuple of (str, int, int)
        Layer, first row tile and number of row tiles; (layer, 0, 0) where the content is neither
        weights nor parameters, but (layer, 1, 0) of a second GELU table.
    offset, bytes : int
        Place from the region's base, and size.
    """

    content: str
    parts: tuple[tuple[str, int, int], ...]
    offset: int
    bytes: int


@dataclass(frozen=True, eq=False)
class Program:
    """A compiled network without the values of its constants: cycles and memory depend on no more.

    Parameters
    ----------
    plan : Plan
    operations : sequence of Operation
        BEGIN first, END last; the index is the instruction's number.
    waits, signals : sequence of int
        For each operation, the units whose semaphores it waits for, and those whose it raises; a
        bit per unit.
    chunks : sequence of Chunk
        Constants in the MODEL region, in the order of their offsets.
    constant_bytes : int
        The program follows the constants at this offset.
    """

    plan: Plan
    operations: Sequence[Operation]
    waits: Sequence[int]
    signals: Sequence[int]
    chunks: Sequence[Chunk]
    constant_bytes: int

    def instruction(self, number: int) -> Instruction:
        """One instruction, ready to be encoded."""
        operation = self.operations[number]
        wait, signal = UnitSet(self.waits[number]), UnitSet(self.signals[number])
        return Instruction(operation.opcode, operation.operands, wait, signal)

    def instructions(self) -> Iterator[Instruction]:
        """All instructions in the order of the program."""
        return map(self.instruction, range(len(self.operations)))

    @property
    def credits(self) -> list[list[int]]:
        """The semaphores before the first image as BEGIN states them, [producer][consumer]."""
        return self.instruction(0).credits

    @property
    def program_bytes(self) -> int:
        return INSTRUCTION_BYTES * len(self.operations)

    @property
    def code(self) -> bytes:
        """The instructions, sealed; 0 where a model's constants are not filled in yet."""
        return assemble(self.instructions())
