"""The memories of an engine: their shapes, the block memories and the LUTs that they become."""

from functools import cache, lru_cache

from rtl.config import EngineConfig
from rtl.control.unit import NAMES
from rtl.isa.instructions import Opcode
from rtl.isa.layouts import queued_layout
from rtl.matmul.signals import PAIR, QUAD
from rtl.memory.clients import beat_layout
from rtl.memory.ports import RECORD_BITS, STORED_RECORD_BITS, activation_write
from rtl.memory.reader import Reader
from rtl.model import numerics
from rtl.resources.block_memory import MemoryShape, bank_blocks, mapping
from rtl.vector.gelu import ENTRIES, TABLES, Gelu
from rtl.vector.layernorm import NormUnit
from rtl.vector.softmax import SoftmaxUnit

Features = dict[str, float]
"""Sizes of a block, by what they count."""

Memories = list[tuple[int, MemoryShape]]
"""Memories that are alike, and how many of them there are."""


def banks(engine: EngineConfig) -> dict[str, Memories]:
    """Banks (:class:`rtl.memory.scratchpads.bank.Bank`) by scratchpad."""
    e, beat_bits = engine, 8 * engine.memory_bytes
    row_bits = numerics.KV_BITS * e.row_lanes
    records = max(1, beat_bits // RECORD_BITS)
    exponent_bits = numerics.NORM_EXPONENT_BITS * e.row_lanes
    granule_bits = e.depth_lanes * e.act_bits
    return {
        "activations": [
            (e.token_lanes // 2, MemoryShape(e.activation_words, 2 * e.granules, granule_bits))
        ],
        "pixels": [(1, MemoryShape(e.pixel_words, e.token_lanes, 8 * e.depth_lanes))],
        "keys": [(e.row_lanes // 2, MemoryShape(e.key_words, 2, row_bits))],
        "values": [(e.depth_lanes // 2, MemoryShape(e.value_words, 2, row_bits))],
        "scores": [(1, MemoryShape(e.score_words, QUAD, numerics.SCORE_BITS * e.row_lanes))],
        "residual": [(2, MemoryShape(e.residual_words, 2, 8 * e.residual_word_bytes))],
        "weights": [
            (1, MemoryShape(e.weight_words, 8 * e.weight_word_bytes // beat_bits, beat_bits))
        ],
        "parameters": [
            (
                1,
                MemoryShape(
                    e.parameter_words,
                    8 * e.parameter_word_bytes // beat_bits,
                    records * STORED_RECORD_BITS if beat_bits >= RECORD_BITS else beat_bits,
                ),
            )
        ],
        "exponents": [
            (
                1,
                MemoryShape(
                    e.exponent_words,
                    max(1, exponent_bits // beat_bits),
                    min(exponent_bits, beat_bits),
                ),
            )
        ],
    }


def instruction_queues(engine: EngineConfig) -> Memories:
    """Memories of the queues in front of the units."""
    return [(1, MemoryShape(engine.queue_depth, 1, _instruction_bits(name))) for name in NAMES]


@cache
def _instruction_bits(unit: str) -> int:
    return queued_layout(Opcode[unit.upper()]).size


def beat_queues(engine: EngineConfig) -> Memories:
    """Memories behind the memory port."""
    bits = _beat_bits(engine.memory_bytes)
    return [(1, MemoryShape(depth, 1, bits)) for depth in Reader.ROOM.values()]


@cache
def _beat_bits(memory_bytes: int) -> int:
    return beat_layout(memory_bytes).size


def write_queue(engine: EngineConfig, depth: int) -> Memories:
    """Memory of LayerNorm's or softmax's way out."""
    return [(1, MemoryShape(depth, 1, 1 + _write_bits(engine)))]


@lru_cache(maxsize=1)
def _write_bits(engine: EngineConfig) -> int:
    """Bits of a write of activations; the instruction's number is not kept."""
    layout = activation_write(engine)
    return layout.size - layout["number"].width


def gelu_tables(engine: EngineConfig) -> Memories:
    """GELU tables, each shared by a few lanes."""
    table = MemoryShape(TABLES * ENTRIES, 1, engine.act_bits, reads=Gelu.SHARING)
    return [(PAIR * engine.row_lanes // Gelu.SHARING, table)]


EXP2_BRAM = {"xilinx": 0, "ecp5": 0.5}  # the table of a softmax lane
RSQRT_BRAM = {"xilinx": 0, "ecp5": 0.5}


def block_memories(engine: EngineConfig, family: str) -> dict[str, float]:
    """BRAM36 by unit."""
    queues = {
        "control": instruction_queues(engine),
        "dma": beat_queues(engine),
        "matmul": gelu_tables(engine),
        "norm": write_queue(engine, NormUnit.BEATS),
        "softmax": write_queue(engine, SoftmaxUnit.BEATS),
    }
    used = {unit: block_memory(shapes, family) for unit, shapes in queues.items()}
    for unit, shapes in banks(engine).items():
        blocks = [(n, block) for n, shape in shapes for block in bank_blocks(shape)]
        used[unit] = block_memory(blocks, family)
    used["softmax"] += EXP2_BRAM[family] * engine.softmax_lanes
    used["norm"] += RSQRT_BRAM[family]
    return used


def block_memory(memories: Memories, family: str) -> float:
    return sum(n * mapping(shape, family).used.bram36 for n, shape in memories)


def memory_features(memories: Memories, family: str) -> Features:
    """LUTs that are memory, what chooses among them, and the registers of their words."""
    cells = ways = registers = 0.0
    for n, shape in memories:
        built = mapping(shape, family)
        cells += n * built.used.lut
        ways += n * (built.ways - 1) * shape.bits * shape.reads
        registers += n * shape.bits * shape.reads * (built.used.bram36 == 0)
    return {"memory_luts": cells, "way_bits": ways, "memory_register_bits": registers}


def bank_features(memories: Memories, family: str) -> Features:
    """Of several banks, each of one or two memories with an output register."""
    blocks = [(n, block) for n, shape in memories for block in bank_blocks(shape)]
    split = [(n, shape) for n, shape in memories if len(bank_blocks(shape)) > 1]
    return memory_features(blocks, family) | {
        "output_bits": sum(n * block.bits for n, block in blocks),
        "choices": sum(n for n, _ in split),
        "choice_bits": sum(n * shape.bits for n, shape in split),
        "choice_parts": sum(n * shape.parts for n, shape in split),
    }
