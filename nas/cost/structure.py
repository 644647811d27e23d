"""What an engine consists of: block memories and multipliers, counted; logic, by its sizes.

DSPs and block memories follow from the sizes exactly. LUTs and flip-flops are those of *blocks*: a
block is a group of modules whose resources are linear in a few *features*, sizes that are counted
here and named for what they count (``quad_bits``: registers of that many bits). How many LUTs and
flip-flops a feature costs is fitted (:mod:`nas.cost.resources`).
"""

from collections.abc import Callable, Iterator
from functools import cache

from amaranth.utils import ceil_log2

from nas.cost.block_memory import MemoryShape, bank_blocks, mapping
from rtl import numerics
from rtl.arith.adder_tree import AdderTree
from rtl.arith.multiplier import Cascade
from rtl.attention.softmax import SoftmaxUnit
from rtl.config import EngineConfig
from rtl.control.isa import Opcode
from rtl.control.layout import queued_layout
from rtl.control.unit import NAMES
from rtl.matmul.array import PAIR, QUAD, Operands, array_packing, quads
from rtl.matmul.unit import MatmulUnit
from rtl.memory.clients import beat_layout
from rtl.memory.ports import RowParameters, TokenScale, activation_write
from rtl.memory.reader import Reader
from rtl.vector.gelu import ENTRIES, TABLES, Gelu
from rtl.vector.layernorm import NormUnit

Features = dict[str, float]
Blocks = dict[str, Features]

MODULES = {
    "bank": ("bank_",),
    "tile": ("tile_", "cascade_", "dot_"),
    "operands": ("matmul.array.",),
    "array": ("matmul.array",),
    "feed": ("matmul.feed",),
    "lanes": ("matmul.drain.lanes",),
    "scores": ("matmul.drain.scores", "rowmaximum_"),
    "requantize": ("matmul.drain.requantize", "requantizelane_"),
    "drain": ("matmul", "gelutable_", "residuallane"),
    "norm_lanes": ("norm.lanes", "normlane_", "normcode_"),
    "norm": ("norm",),
    "softmax_lanes": ("softmax.lanes", "softmax.sum", "exp2_"),
    "softmax": ("softmax",),
    "activation_ports": ("pairport_",),
    "queues": tuple(f"control.{unit}.queue" for unit in NAMES),
    **{
        unit: (unit,)
        for unit in (
            "activations", "pixels", "keys", "values", "score_memory", "residual", "weights",
            "parameters", "exponents", "control", "dma", "load", "store",
        )
    },
}  # fmt: skip
"""By block: how the names of its modules begin, below the engine. The longest beginning counts."""
MODULES["score_memory"] = ("scores",)

ONE: Features = {"one": 1}
"""What is there once, whatever the sizes."""


def block_of(module: str) -> str | None:
    """Find the block of a module, by its name below the engine; None of the engine itself."""
    if module.endswith(".bank"):
        return "bank"
    fits = {
        prefix: block
        for block, prefixes in MODULES.items()
        for prefix in prefixes
        if module.startswith(prefix)
    }
    return fits[max(fits, key=len)] if fits else None


# ---------------------------------------------------------------- lanes and multipliers


def norm_lanes(engine: EngineConfig) -> int:
    """Values that LayerNorm handles per cycle."""
    return PAIR * engine.row_lanes


def softmax_lanes(engine: EngineConfig) -> int:
    """Scores that softmax handles per cycle."""
    return engine.row_lanes


# Multipliers of a requantize, a LayerNorm and a softmax lane; of LayerNorm's scalars, and of
# softmax's scales. A product of 27 x 18 bits is one DSP48E2, and two multipliers of 18 x 18.
LANE_DSPS = {"xilinx": 1, "ecp5": 2}
NORM_SCALAR_DSPS = {"xilinx": 10, "ecp5": 16}
SOFTMAX_SCALE_DSPS = {"xilinx": 1, "ecp5": 1}


def dsps(engine: EngineConfig, family: str) -> dict[str, int]:
    """DSPs by unit."""
    per_lane = LANE_DSPS[family]
    array = engine.products // array_packing(engine).products
    return {
        "matmul": array + per_lane * PAIR * engine.row_lanes,
        "norm": per_lane * norm_lanes(engine) + NORM_SCALAR_DSPS[family],
        "softmax": per_lane * softmax_lanes(engine) + SOFTMAX_SCALE_DSPS[family],
    }


# ---------------------------------------------------------------- memories

Memories = list[tuple[int, MemoryShape]]
"""Memories that are alike, and how many of them there are."""


def banks(engine: EngineConfig) -> dict[str, Memories]:
    """Banks (:class:`rtl.memory.scratchpads.bank.Bank`) by scratchpad."""
    e, beat_bits = engine, 8 * engine.memory_bytes
    row_bits = numerics.KV_BITS * e.row_lanes
    records = max(1, beat_bits // RowParameters.size)
    record_bits = RowParameters.size - RowParameters["padding"].width
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
                    records * record_bits if beat_bits >= RowParameters.size else beat_bits,
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
    """Memory of LayerNorm's or softmax's way out; an instruction's number is not kept."""
    layout = activation_write(engine)
    return [(1, MemoryShape(depth, 1, 1 + layout.size - layout["number"].width))]


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
    used = {unit: _block_memory(shapes, family) for unit, shapes in queues.items()}
    for unit, shapes in banks(engine).items():
        blocks = [(n, block) for n, shape in shapes for block in bank_blocks(shape)]
        used[unit] = _block_memory(blocks, family)
    used["softmax"] += EXP2_BRAM[family] * softmax_lanes(engine)
    used["norm"] += RSQRT_BRAM[family]
    return used


def _block_memory(memories: Memories, family: str) -> float:
    return sum(n * mapping(shape, family).used.bram36 for n, shape in memories)


def _memory_features(memories: Memories, family: str) -> Features:
    """LUTs that are memory, what chooses among them, and the registers of their words."""
    cells = ways = registers = 0.0
    for n, shape in memories:
        built = mapping(shape, family)
        cells += n * built.used.lut
        ways += n * (built.ways - 1) * shape.bits * shape.reads
        registers += n * shape.bits * shape.reads * (built.used.bram36 == 0)
    return {"memory_luts": cells, "way_bits": ways, "memory_register_bits": registers}


def _bank_features(memories: Memories, family: str) -> Features:
    """Of several banks, each of one or two memories with an output register."""
    blocks = [(n, block) for n, shape in memories for block in bank_blocks(shape)]
    split = [(n, shape) for n, shape in memories if len(list(bank_blocks(shape))) > 1]
    return _memory_features(blocks, family) | {
        "output_bits": sum(n * block.bits for n, block in blocks),
        "choices": sum(n for n, _ in split),
        "choice_bits": sum(n * shape.bits for n, shape in split),
        "choice_parts": sum(n * shape.parts for n, shape in split),
    }


# ---------------------------------------------------------------- logic, unit by unit


# LUTs that choose a bit of four token lanes' sums among all groups of four, by token lanes, as
# measured: Yosys' abc finds more or less of the sharing among five groups and more.
QUAD_LUTS = {
    family: dict(zip(range(2, 33, 2), luts, strict=True))
    for family, luts in {
        "xilinx": (0, 0, 2, 4, 4, 4, 4, 4, 8, 16, 8, 8, 12, 12, 12.7, 12),
        "ecp5": (0, 0, 2, 4, 6, 8, 12, 16, 16, 20, 18, 20, 24, 20, 26.7, 28),
    }.items()
}


def _choice_luts(values: int, family: str) -> float:
    """LUTs that choose a bit among ``values``, a power of two."""
    return QUAD_LUTS[family][QUAD * values] / QUAD


def _matmul(e: EngineConfig, family: str) -> Blocks:
    packing = array_packing(e)
    cascade = min(packing.cascade, e.depth_lanes)
    dots, tiles = e.token_lanes * e.row_lanes, e.token_lanes * e.row_lanes // packing.products
    tree_bits = AdderTree.register_bits(
        e.depth_lanes // cascade, packing.field_bits, packing.adder_terms
    )
    multipliers, cascades = tiles * e.depth_lanes, tiles * e.depth_lanes // cascade
    ports = packing.activation_port_bits + packing.weight_port_bits
    field_bits = packing.products * packing.field_bits
    groups, latency = quads(e.token_lanes), MatmulUnit.sums_cycles(e)
    slots = e.score_slots * e.token_lanes
    pixel_bits = e.act_bits if e.act_bits == numerics.KV_BITS else numerics.ATOM_BITS
    return {
        "tile": {
            "dots": dots,
            "tree_bits": dots * tree_bits,
            "tiles": tiles,
            "multiplier_bits": multipliers * (2 * ports + 2 * field_bits) - cascades * ports,
        },
        "operands": _operands(e, cascade, family),
        "array": ONE
        | {"latency": latency}
        | {"quad_bits": min(QUAD, e.token_lanes) * e.row_lanes * numerics.ACC_BITS}
        | {"choice_luts": e.row_lanes * numerics.ACC_BITS * QUAD_LUTS[family][e.token_lanes]},
        "feed": ONE
        | {
            "activation_bits": e.token_lanes * e.depth_lanes * e.act_bits,
            "pixel_choice_bits": e.token_lanes * e.depth_lanes * pixel_bits,
            "weight_bits": e.row_lanes * e.depth_lanes * numerics.ATOM_BITS,
        },
        "lanes": ONE
        | {"rows": e.row_lanes, "scale_bits": QUAD * groups * TokenScale.size}
        | {"slot_scale_bits": slots * TokenScale.size},
        "scores": ONE
        | {"comparators": e.row_lanes - 1, "rows": e.row_lanes}
        | {"tokens": e.token_lanes, "maxima_bits": (slots + e.token_lanes) * numerics.SCORE_BITS},
        "requantize": ONE | {"rows": e.row_lanes, "code_bits": e.row_lanes * e.act_bits},
        "drain": ONE
        | {"rows": e.row_lanes, "code_bits": e.row_lanes * e.act_bits, "tokens": e.token_lanes}
        | {"latency": latency}
        | _memory_features(gelu_tables(e), family),
    }


def _operands(e: EngineConfig, cascade: int, family: str) -> Features:
    """Digits of packed operands, delayed by depth lane; long delays are shift-register LUTs."""
    packing = array_packing(e)
    ports = (
        (e.token_lanes, e.act_bits, packing.token_pack),
        (e.row_lanes, numerics.ATOM_BITS, packing.row_pack),
    )
    delays = [Operands.LATENCY + Cascade.skew(d % cascade) for d in range(e.depth_lanes)]
    short = [d for d in delays if family == "ecp5" or d < SHORTEST_SHIFT_REGISTER]
    features = {"register_bits": 0.0, "shift_bits": 0.0, "digit_bits": 0.0, "codes": 0.0}
    for lanes, bits, pack in ports:
        features["register_bits"] += lanes * (bits + 1) * sum(short)
        features["shift_bits"] += lanes * (bits + 1) * (len(delays) - len(short))
        features["digit_bits"] += lanes * (pack - 1) / pack * e.depth_lanes * (bits + 2)
        features["codes"] += lanes / pack * e.depth_lanes
    return features


SHORTEST_SHIFT_REGISTER = 3  # stages


def _norm(e: EngineConfig, family: str) -> Blocks:
    lanes = norm_lanes(e)
    return {
        "norm_lanes": {"lanes": lanes, "code_bits": lanes * e.act_bits},
        "norm": ONE | {"lanes": lanes} | _memory_features(write_queue(e, NormUnit.BEATS), family),
    }


def _softmax(e: EngineConfig, family: str) -> Blocks:
    lanes = softmax_lanes(e)
    return {
        "softmax_lanes": {"lanes": lanes, "code_bits": lanes * e.act_bits},
        "softmax": ONE
        | {"lanes": lanes, "slots": e.score_slots, "token_slots": e.token_lanes * e.score_slots}
        | _memory_features(write_queue(e, SoftmaxUnit.BEATS), family),
    }


def _granule_choice(e: EngineConfig, lanes: int, bits: int, family: str) -> Features:
    """The choice of a granule of each word that is read."""
    return {"choice_luts": lanes * e.depth_lanes * bits * _choice_luts(e.granules, family)}


def _activations(e: EngineConfig, family: str) -> Blocks:
    pairs, code_bits = e.token_lanes // 2, PAIR * e.row_lanes * e.act_bits
    return {
        "activation_ports": {"pairs": pairs, "granules": pairs * e.granules}
        | {"code_bits": pairs * code_bits}
        | {"selector_bits": pairs * code_bits * ceil_log2(max(2, pairs))},
        "activations": ONE
        | {"code_bits": code_bits}
        | _granule_choice(e, e.token_lanes, e.act_bits, family),
    }


def _control(e: EngineConfig, family: str) -> Blocks:
    split = e.memory_bytes > INSTRUCTION_BYTES
    levels = {"levels": e.queue_depth.bit_length()}
    return {
        "queues": ONE | levels | _memory_features(instruction_queues(e), family),
        "control": ONE | levels | {"split_bits": 8 * e.memory_bytes * split},
    }


INSTRUCTION_BYTES = 32


def _dma(e: EngineConfig, family: str) -> Blocks:
    beat = {"beat_bits": 8 * e.memory_bytes}
    return {"dma": ONE | beat | _memory_features(beat_queues(e), family)}


def _load(e: EngineConfig, family: str) -> Blocks:
    return {
        "load": ONE
        | {"beat_bits": 8 * e.memory_bytes, "rows": e.row_lanes, "depth": e.depth_lanes}
        | {"cut_bits": 8 * e.depth_lanes * e.memory_bytes}
    }


def _store(e: EngineConfig, family: str) -> Blocks:
    return {"store": ONE | {"beat_bits": 8 * e.memory_bytes, "rows": e.row_lanes}}


def _plain(*sizes: str) -> Callable[[EngineConfig, str], Features]:
    """Features that are sizes of the engine."""
    return lambda e, family: ONE | {size: getattr(e, size) for size in sizes}


BLOCKS: dict[str, Callable[[EngineConfig, str], Blocks]] = {
    "control": _control,
    "dma": _dma,
    "load": _load,
    "matmul": _matmul,
    "norm": _norm,
    "softmax": _softmax,
    "store": _store,
    "activations": _activations,
    "pixels": lambda e, _: {"pixels": ONE | {"depth": e.depth_lanes, "tokens": e.token_lanes}},
    "keys": lambda e, family: {
        "keys": ONE
        | {"rows": e.row_lanes}
        | _granule_choice(e, e.row_lanes, numerics.KV_BITS, family)
    },
    "values": lambda e, _: {"values": ONE | {"rows": e.row_lanes, "depth": e.depth_lanes}},
    "scores": lambda e, _: {"score_memory": ONE | {"rows": e.row_lanes}},
    "residual": lambda e, _: {"residual": ONE | {"rows": e.row_lanes}},
    "weights": lambda e, _: {"weights": ONE | {"beat_bits": 8 * e.memory_bytes}},
    "parameters": lambda e, _: {"parameters": ONE | {"beat_bits": 8 * e.memory_bytes}},
    "exponents": lambda e, _: {"exponents": ONE | {"beat_bits": 8 * e.memory_bytes}},
}
"""By unit: its blocks, all but the banks."""


def blocks(engine: EngineConfig, family: str) -> Iterator[tuple[str, str, Features]]:
    """Yield unit, block and features of all of an engine's logic."""
    of_banks = banks(engine)
    for unit, of_unit in BLOCKS.items():
        for block, features in of_unit(engine, family).items():
            yield unit, block, features
        if unit in of_banks:
            yield unit, "bank", _bank_features(of_banks[unit], family)
