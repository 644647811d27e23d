"""What becomes of a memory in a device: block memory or LUTs, by Yosys' rules.

``memory_libmap`` rates each way to build a memory of the device's cells, and takes the cheapest:
cells at their cost, half a point for each bit that is chosen among cells, half for each write
enable that is decoded. Source: Yosys, passes/memory/memory_libmap.cc; the cells and their costs are
those of share/xilinx/brams_xc4v.txt (UltraScale+), lutrams_xcu.txt, share/lattice/brams_16kd.txt
and lutrams_trellis.txt.
"""

from dataclasses import dataclass
from functools import cache

from rtl.build.synthesis import FAMILIES, Resources
from rtl.memory.scratchpads.bank import block_depths

BYTE_BITS = 9  # of a block memory's write enables
PORT_SCORE = 2  # a read port of its own


@dataclass(frozen=True)
class MemoryShape:
    """A memory with one write port.

    Parameters
    ----------
    depth : int
        Words.
    parts, part_bits : int
        A word's parts, each with a write enable of its own, and the bits of each.
    reads : int
        Read ports, each with a copy of the memory.
    """

    depth: int
    parts: int
    part_bits: int
    reads: int = 1

    @property
    def bits(self) -> int:
        """Of a word."""
        return self.parts * self.part_bits


@dataclass(frozen=True)
class MemoryCell:
    """A cell of a device that serves as memory, in one of its shapes.

    Parameters
    ----------
    kind : str
        Key of :data:`rtl.build.synthesis.FAMILIES`' cells.
    depth, bits : int
        Words, and bits of a word.
    cost : int
        In Yosys' library.
    byte_bits : int
        Bits with a write enable of their own.
    shares : bool
        A cell that is used in part costs a part.
    """

    kind: str
    depth: int
    bits: int
    cost: int
    byte_bits: int
    shares: bool = False


def _block(kind: str, bits: int, cost: int, widths: tuple[int, ...]) -> list[MemoryCell]:
    """A block memory of ``2**bits`` bits, parity aside, in each of its widths."""
    return [
        MemoryCell(kind, 1 << bits - index, width, cost, min(BYTE_BITS, width))
        for index, width in enumerate(widths)
    ]


WIDTHS = (1, 2, 4, 9, 18, 36, 72)

# In the order of Yosys' library: the first of several equals is taken.
CELLS = {
    "xilinx": [
        *(
            MemoryCell(kind, depth, bits, cost=16, byte_bits=bits, shares=True)
            for kind, depth, bits in (("RAM32M16", 32, 14), ("RAM64M8", 64, 7))
        ),
        *_block("RAMB18E2", 14, 129, WIDTHS[:6]),
        *_block("RAMB36E2", 15, 257, WIDTHS),
    ],
    "ecp5": [
        MemoryCell("TRELLIS_DPR16X4", 16, 4, cost=4, byte_bits=4),
        *_block("DP16KD", 14, 128, WIDTHS[:6]),
    ],
}


@dataclass(frozen=True)
class Mapping:
    """How a memory is built.

    Parameters
    ----------
    cell : MemoryCell
    cells : int
        For all read ports.
    ways : int
        Cells above one another, among which a read chooses.
    used : Resources
        Of the cells alone.
    """

    cell: MemoryCell
    cells: int
    ways: int
    used: Resources


@cache
def mapping(shape: MemoryShape, family: str) -> Mapping:
    """Build a memory as Yosys does."""
    cell = min(CELLS[family], key=lambda cell: _cost(shape, cell))
    ways, cells = _stacked(shape, cell)
    return Mapping(cell, cells, ways, FAMILIES[family].cells[cell.kind] * cells)


def _stacked(shape: MemoryShape, cell: MemoryCell) -> tuple[int, int]:
    """Cells above one another, and all cells, for all read ports."""
    ways = -(-shape.depth // cell.depth)
    padded = shape.parts * (-(-shape.part_bits // cell.byte_bits) * cell.byte_bits)
    return ways, -(-ways * padded // cell.bits) * shape.reads


def _cost(shape: MemoryShape, cell: MemoryCell) -> int:
    """Yosys' cost of a memory made of one kind of cell."""
    ways, cells = _stacked(shape, cell)
    used = ways * shape.bits / cell.bits * shape.reads if cell.shares else cells
    choices = (ways - 1) * shape.bits * shape.reads + (ways * shape.parts if ways > 1 else 0)
    return int(cell.cost * used + choices / 2 + PORT_SCORE * shape.reads)


@cache
def bank_blocks(shape: MemoryShape) -> tuple[MemoryShape, ...]:
    """The memories that a :class:`rtl.memory.scratchpads.bank.Bank` of this shape consists of."""
    depths = block_depths(shape.depth)
    return tuple(MemoryShape(depth, shape.parts, shape.part_bits) for depth in depths)
