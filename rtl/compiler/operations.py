"""Operations: instructions with what they are about and the scratchpad words they touch."""

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from rtl.compiler.runs import Run
from rtl.compiler.sizes import Sizes, Tile
from rtl.isa.instructions import INSTRUCTION_BYTES, UNIT_OF, Instruction, Opcode, Unit, UnitSet

if TYPE_CHECKING:  # a request makes operations
    from rtl.compiler.requests import Request


class Space(IntEnum):
    """What an instruction reads and writes on the chip; beside each, what its regions count."""

    ACTIVATIONS = 0  # granules
    PIXELS = 1  # words
    KEYS = 2  # words
    VALUES = 3  # words
    SCORES = 4  # words
    RESIDUAL = 5  # tokens; behind the last one: the logits
    WEIGHTS = 6  # words of the ring
    PARAMETERS = 7  # words
    EXPONENTS = 8  # words
    GELU = 9  # tables
    MAXIMA = 10  # slots: the largest score of each token, for softmax
    SCALES = 11  # slots: scale and shift of each token, for the context


class Region(NamedTuple):
    """Addresses ``start`` ... ``stop - 1`` of a space, in all its banks.

    Finer than that, nothing is synchronised: two instructions that touch the same address in
    different banks wait for each other.
    """

    space: Space
    start: int
    stop: int


class Subject(NamedTuple):
    """What an operation computes: for constants, symbols and reports.

    ``tensor`` is the name of docs/numerics.md section 8 (of a LOAD: what it fetches, as in
    :class:`Chunk`, or ``pixels``), ``layer`` the matrix or LayerNorm with the constants, ``head``
    the attention head, ``row_tile`` the first row tile (of a LOAD of pixels: the strip). -1 where
    there is none.
    """

    kind: str  # embed, norm, qkv, scores, softmax, context, proj, fc1, fc2, pool, head, load, store
    tensor: str
    layer: str
    block: int = -1
    tile: Tile | None = None
    head: int = -1
    row_tile: int = 0


@dataclass(slots=True, eq=False)
class Operation:
    """One instruction under construction.

    Parameters
    ----------
    opcode : Opcode
    operands : dict of str to int
        Fields of :data:`rtl.isa.instructions.INSTRUCTIONS`; missing ones are 0.
    reads, writes : list of Region
        All that it touches on the chip.
    subject : Subject
    needs : tuple of Request
        What must have been loaded (:mod:`rtl.compiler.requests`).
    run : Run or None
        The part of a weight block that a MATMUL multiplies by.
    wait, signal : int
        A bit per unit; set by :func:`rtl.compiler.synchronise.synchronise`.
    """

    opcode: Opcode
    operands: dict[str, int]
    reads: list[Region]
    writes: list[Region]
    subject: Subject
    needs: tuple["Request", ...] = ()
    run: Run | None = None
    wait: int = 0
    signal: int = 0

    @property
    def unit(self) -> Unit | None:
        """Who executes it; None for BEGIN and END, which are the fetcher's."""
        return UNIT_OF.get(self.opcode)

    def instruction(self) -> Instruction:
        """Ready to be encoded."""
        return Instruction(self.opcode, self.operands, UnitSet(self.wait), UnitSet(self.signal))


class Chunk(NamedTuple):
    """A piece of the MODEL region that LOADs read.

    ``what`` is ``weights``, ``parameters``, ``exponents``, ``gelu`` or ``position``; ``parts`` are
    (layer, first row tile, row tiles) for the first two, else (layer, 0, 0).
    """

    what: str
    parts: tuple[tuple[str, int, int], ...]
    offset: int  # in bytes, from the region's base
    bytes: int


@dataclass(eq=False)
class Program:
    """A compiled network without constants: what cycles and memory depend on.

    Parameters
    ----------
    sizes : Sizes
    operations : list of Operation
        BEGIN first, END last; the index is the instruction's number.
    chunks : list of Chunk
        Constants in the MODEL region, in order of their offsets.
    constant_bytes : int
        The program follows the constants at this offset.
    """

    sizes: Sizes
    operations: list[Operation]
    chunks: list[Chunk]
    constant_bytes: int

    @property
    def program_bytes(self) -> int:
        return INSTRUCTION_BYTES * len(self.operations)

    @property
    def code(self) -> bytes:
        """The instructions, with 0 where a model's constants are not filled in yet."""
        return b"".join(operation.instruction().encode() for operation in self.operations)
