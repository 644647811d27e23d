"""The memories of an engine: their shapes, and what becomes of them in a device.

``memory_libmap`` of Yosys rates each way to build a memory of the cells of a device, and takes the
cheapest: cells at their cost, half a point for each bit that is chosen among cells, half for each
write enable that is decoded. Source: Yosys, passes/memory/memory_libmap.cc; the cells and their
costs are those of share/xilinx/brams_xc4v.txt (UltraScale+), lutrams_xcu.txt,
share/lattice/brams_16kd.txt and lutrams_trellis.txt. What lies in UltraRAM is not rated: the engine
says so, and is made of the primitives.
"""

from dataclasses import dataclass, replace
from functools import cache, lru_cache

from amaranth.utils import ceil_log2

from rtl.arith.exp2 import exact_weight
from rtl.build.synthesis import FAMILIES, Resources
from rtl.config import EngineConfig
from rtl.control.unit import NAMES
from rtl.isa.instructions import Opcode
from rtl.isa.layouts import queued_layout
from rtl.matmul.signals import PAIR, QUAD
from rtl.memory.clients import beat_layout
from rtl.memory.ports import (
    IMPORTANCE,
    IMPORTANCE_LANES,
    RECORD_BITS,
    STORED_RECORD_BITS,
    PairPlace,
    activation_write,
    selection_lanes,
)
from rtl.memory.reader import Reader
from rtl.memory.scratchpads.bank import (
    LutBank,
    UltraBank,
    bank_kind,
    block_depths,
    ultra_depths,
)
from rtl.memory.scratchpads.ultraram import BYTE_BITS as ULTRA_BYTE_BITS
from rtl.memory.scratchpads.ultraram import WORD_BITS, WORDS
from rtl.memory.store import TokenReader
from rtl.model import numerics
from rtl.vector.gelu import ENTRIES, TABLES, Gelu
from rtl.vector.importance import ROWS
from rtl.vector.layernorm import NormUnit
from rtl.vector.softmax import SoftmaxUnit

BYTE_BITS = 9  # bits of a block memory that share a write enable
PORT_SCORE = 2  # cost of a separate read port


@dataclass(frozen=True)
class MemoryShape:
    """A memory with one write port.

    Parameters
    ----------
    depth : int
        Number of words.
    parts, part_bits : int
        Number of parts of a word, each with its own write enable, and the bits of a part.
    reads : int
        Number of read ports, each with its own copy of the memory.
    ultra : bool
        Whether it lies in UltraRAM.
    addressed : bool
        Whether the first register of a read is the address's, not the word's
        (:class:`rtl.memory.scratchpads.bank.LutBank`).
    """

    depth: int
    parts: int
    part_bits: int
    reads: int = 1
    ultra: bool = False
    addressed: bool = False

    @property
    def bits(self) -> int:
        """Width of a word."""
        return self.parts * self.part_bits


@dataclass(frozen=True)
class MemoryCell:
    """A cell of a device that serves as memory, in one of its shapes.

    Parameters
    ----------
    kind : str
        Key of :data:`rtl.build.synthesis.FAMILIES`' cells.
    depth, bits : int
        Number of words, and the bits of a word.
    cost : int
        Cost of a cell in Yosys' library.
    byte_bits : int
        Bits that share a write enable.
    shares : bool
        Whether a cell that is used in part costs only that part.
    """

    kind: str
    depth: int
    bits: int
    cost: int
    byte_bits: int
    shares: bool = False


def _block(kind: str, bits: int, cost: int, widths: tuple[int, ...]) -> list[MemoryCell]:
    """List a block memory of ``2**bits`` bits, without parity, in each of its widths."""
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


ULTRARAM = MemoryCell("URAM288_BASE", WORDS, WORD_BITS, cost=0, byte_bits=ULTRA_BYTE_BITS)


@dataclass(frozen=True)
class Mapping:
    """Cells of which a memory is built.

    Parameters
    ----------
    cell : MemoryCell
    cells : int
        Number of cells, for all read ports.
    ways : int
        Number of cells above one another, among which a read chooses.
    used : Resources
        Resources of the cells alone.
    """

    cell: MemoryCell
    cells: int
    ways: int
    used: Resources


@cache
def mapping(shape: MemoryShape, family: str) -> Mapping:
    """Choose the cells of a memory as Yosys does, unless they are UltraRAM."""
    rated = [ULTRARAM] if shape.ultra else CELLS[family]
    cell = min(rated, key=lambda cell: _cost(shape, cell))
    ways, cells = _stacked(shape, cell)
    return Mapping(cell, cells, ways, FAMILIES[family].cells[cell.kind] * cells)


def _stacked(shape: MemoryShape, cell: MemoryCell) -> tuple[int, int]:
    """Count the cells above one another, and all cells for all read ports."""
    ways = -(-shape.depth // cell.depth)
    padded = shape.parts * (-(-shape.part_bits // cell.byte_bits) * cell.byte_bits)
    return ways, -(-ways * padded // cell.bits) * shape.reads


def _cost(shape: MemoryShape, cell: MemoryCell) -> int:
    """Rate a memory made of one kind of cell, as Yosys does."""
    ways, cells = _stacked(shape, cell)
    used = ways * shape.bits / cell.bits * shape.reads if cell.shares else cells
    choices = (ways - 1) * shape.bits * shape.reads + (ways * shape.parts if ways > 1 else 0)
    return int(cell.cost * used + choices / 2 + PORT_SCORE * shape.reads)


@cache
def bank_blocks(shape: MemoryShape) -> tuple[MemoryShape, ...]:
    """List the memories that make a :class:`rtl.memory.scratchpads.bank.Bank` of this shape."""
    depths = ultra_depths if shape.ultra else block_depths
    return tuple(replace(shape, depth=depth) for depth in depths(shape.depth))


Features = dict[str, float]
"""Sizes of a block of logic, by the name of what they count."""

Memories = list[tuple[int, MemoryShape]]
"""Pairs of a number and a shape: so many memories of this shape."""


def banks(engine: EngineConfig) -> dict[str, Memories]:
    """List the banks (:class:`rtl.memory.scratchpads.bank.Bank`) of each scratchpad."""
    e, beat_bits = engine, 8 * engine.memory_bytes
    row_bits = numerics.KV_BITS * e.row_lanes
    records = max(1, beat_bits // RECORD_BITS)
    record_bits = records * STORED_RECORD_BITS if beat_bits >= RECORD_BITS else beat_bits
    exponent_bits = numerics.NORM_EXPONENT_BITS * e.row_lanes
    granule_bits = e.depth_lanes * e.act_bits
    parameter_beats = 8 * e.parameter_word_bytes // beat_bits
    exponent_beats = max(1, exponent_bits // beat_bits)
    sizes = {  # banks, words of each, parts of a word, bits of a part
        "activations": (e.token_lanes // 2, e.activation_words, 2 * e.granules, granule_bits),
        "pixels": (1, e.pixel_words, e.token_lanes, 8 * e.depth_lanes),
        "keys": (e.row_lanes // 2, e.key_words, 2, row_bits),
        "values": (e.depth_lanes // 2, e.value_words, 2, row_bits),
        "scores": (1, e.score_words, QUAD, numerics.SCORE_BITS * e.row_lanes),
        "residual": (2, e.residual_words, 2, 8 * e.residual_word_bytes),
        "weights": (1, e.weight_words, 8 * e.weight_word_bytes // beat_bits, beat_bits),
        "parameters": (1, e.parameter_words, parameter_beats, record_bits),
        "exponents": (1, e.exponent_words, exponent_beats, min(exponent_bits, beat_bits)),
    }
    if e.select_tokens:
        lanes = selection_lanes(e)
        four = IMPORTANCE_LANES * IMPORTANCE.width
        sizes["importance"] = (lanes // IMPORTANCE_LANES, e.select_tokens // lanes, 1, four)
        sizes["places"] = (1, e.select_tokens, 1, PairPlace.as_shape().size)
    found: dict[str, Memories] = {}
    for unit, (count, depth, parts, part_bits) in sizes.items():
        kind = bank_kind(e, unit, depth)
        ultra, addressed = kind is UltraBank, kind is LutBank
        shape = MemoryShape(depth, parts, part_bits, ultra=ultra, addressed=addressed)
        found[unit] = [(count, shape)]
    return found


@lru_cache(maxsize=1)
def queues(engine: EngineConfig) -> dict[str, Memories]:
    """List the memories within units: their queues, and the GELU tables that lanes share."""
    e, write = engine, activation_write(engine)
    write_bits = 1 + write.size - write["number"].width  # the instruction's number is not kept
    gelu = MemoryShape(TABLES * ENTRIES, 1, e.act_bits, reads=Gelu.SHARING)
    return {
        "control": [
            (1, MemoryShape(e.queue_depth, 1, bits))
            for bits in _instruction_bits(e.select_tokens > 0)
        ],
        "store": [(1, MemoryShape(TokenReader.AHEAD, 1, 8 * e.residual_word_bytes))],
        "dma": [(1, MemoryShape(room, 1, _beat_bits(e))) for room in Reader.ROOM.values()],
        "matmul": [(PAIR * e.row_lanes // Gelu.SHARING, gelu)],
        "norm": [(1, MemoryShape(NormUnit.BEATS, 1, write_bits))],
        "softmax": [(1, MemoryShape(SoftmaxUnit.BEATS, 1, write_bits)), *_weight_rows(e)],
    }


def _weight_rows(e: EngineConfig) -> Memories:
    """List the memory of the class token's weights, if there is one."""
    if not e.select_tokens:
        return []
    weight = exact_weight(e.act_bits).width
    words = ROWS * e.select_tokens // e.softmax_lanes
    return [(1, MemoryShape(words, 1, weight * e.softmax_lanes))]


@cache
def _instruction_bits(selection: bool) -> list[int]:
    return [queued_layout(Opcode[unit.upper()], selection).size for unit in NAMES]


def _beat_bits(engine: EngineConfig) -> int:
    return beat_layout(engine.memory_bytes).size


EXP2_BRAM = {"xilinx": 0, "ecp5": 0.5}  # the table of a softmax lane
RSQRT_BRAM = {"xilinx": 0, "ecp5": 0.5}


def block_memories(engine: EngineConfig, family: str) -> dict[str, float]:
    """Count the BRAM36 of each unit."""
    used = {unit: block_memory(shapes, family) for unit, shapes in queues(engine).items()}
    for unit, shapes in banks(engine).items():
        blocks = [(n, block) for n, shape in shapes for block in bank_blocks(shape)]
        used[unit] = block_memory(blocks, family)
    used["softmax"] += EXP2_BRAM[family] * engine.softmax_lanes
    used["norm"] += RSQRT_BRAM[family]
    return used


def ultra_rams(engine: EngineConfig) -> dict[str, int]:
    """Count the UltraRAMs of each scratchpad that lies in them."""
    return {
        unit: sum(n * mapping(block, "xilinx").cells for n, s in shapes for block in bank_blocks(s))
        for unit, shapes in banks(engine).items()
        if unit in engine.uram
    }


def block_memory(memories: Memories, family: str) -> float:
    """Count the BRAM36 of memories."""
    return sum(n * mapping(shape, family).used.bram36 for n, shape in memories)


def memory_features(memories: Memories, family: str) -> Features:
    """Measure memories: LUTs that are memory, bits chosen among them, their first registers."""
    cells = ways = registers = 0.0
    for n, shape in memories:
        built = mapping(shape, family)
        cells += n * built.used.lut
        ways += n * (built.ways - 1) * shape.bits * shape.reads
        registered = ceil_log2(shape.depth) if shape.addressed else shape.bits * shape.reads
        registers += n * registered * (built.used.lut > 0)
    return {"memory_luts": cells, "way_bits": ways, "memory_register_bits": registers}


def bank_features(memories: Memories, family: str) -> Features:
    """Measure banks, each of one or two memories with an output register; UltraRAM has its own."""
    blocks = [(n, block) for n, shape in memories for block in bank_blocks(shape)]
    split = [(n, shape) for n, shape in memories if len(bank_blocks(shape)) > 1]
    return memory_features(blocks, family) | {
        "output_bits": sum(n * block.bits for n, block in blocks if not block.ultra),
        "choices": sum(n for n, _ in split),
        "choice_bits": sum(n * shape.bits for n, shape in split),
        "choice_parts": sum(n * shape.parts for n, shape in split),
    }
