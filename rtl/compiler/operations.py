"""Operations: instructions with what they are about and the scratchpad words they touch."""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from rtl.compiler.sizes import Sizes, Tile
from rtl.control.isa import UNIT_OF, Instruction, Opcode, Unit, UnitSet


class Space(IntEnum):
    """What regions count in."""

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
    MAXIMA = 10  # slots
    SCALES = 11  # slots


class Region(NamedTuple):
    """Addresses ``start`` ... ``stop - 1`` of a space, in all its banks."""

    space: Space
    start: int
    stop: int


class Subject(NamedTuple):
    """What an operation computes: for constants, symbols and reports.

    ``tensor`` is the name of numerics section 8 (of a LOAD: ``weights``, ``parameters``, ...),
    ``layer`` the matrix or LayerNorm with the constants, ``head`` the attention head,
    ``row_tile`` the first row tile.
    """

    kind: str  # embed, norm, qkv, scores, softmax, context, proj, fc1, fc2, head, load, store
    tensor: str
    layer: str
    block: int = -1
    tile: Tile | None = None
    head: int = -1
    row_tile: int = 0


@dataclass(slots=True, eq=False)
class Operation:
    """One instruction under construction.

    ``needs`` are requests (:mod:`rtl.compiler.requests`) that must have been loaded; ``run`` is
    the part of a weight block that a MATMUL multiplies with.
    """

    opcode: Opcode
    operands: dict[str, int]
    reads: list[Region]
    writes: list[Region]
    subject: Subject
    needs: tuple = ()
    run: object = None
    wait: int = 0
    signal: int = 0

    @property
    def unit(self) -> Unit | None:
        return UNIT_OF.get(self.opcode)

    def instruction(self) -> Instruction:
        return Instruction(self.opcode, self.operands, UnitSet(self.wait), UnitSet(self.signal))


class Chunk(NamedTuple):
    """A piece of the MODEL region that LOADs read.

    ``what`` is ``weights``, ``parameters``, ``exponents``, ``gelu`` or ``position``; ``parts`` are
    (layer, first row tile, row tiles) for the first two, else (layer, 0, 0).
    """

    what: str
    parts: tuple[tuple[str, int, int], ...]
    offset: int
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
        return 32 * len(self.operations)
