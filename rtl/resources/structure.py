"""The logic of an engine, in blocks with features; and its DSPs.

A *block* is a group of modules whose LUTs and flip-flops are linear in a few *features*. Features
are sizes that are counted here, and named for what they count (``quad_bits``: bits of that
register). The cost of one more of a feature is fitted (:mod:`nas.cost.resource_fit`).
"""

from collections.abc import Callable, Iterator

from amaranth.utils import ceil_log2

from rtl.arith.adder_tree import AdderTree
from rtl.arith.cascade import Cascade
from rtl.arith.exp2 import exact_weight
from rtl.config import EngineConfig
from rtl.control.unit import NAMES
from rtl.isa.instructions import INSTRUCTION_BYTES
from rtl.matmul.array import OperandPacker, array_packing
from rtl.matmul.signals import PAIR, QUAD, quads
from rtl.matmul.unit import MatmulUnit
from rtl.memory.ports import IMPORTANCE_LANES, TokenScale, selection_lanes
from rtl.model import numerics
from rtl.resources.memories import (
    Features,
    bank_features,
    banks,
    memory_features,
    queues,
)

Blocks = dict[str, Features]

TOKEN_MEMORIES = ("activations", "pixels", "keys", "values", "residual")
CONSTANT_MEMORIES = ("weights", "parameters", "exponents")

MODULES = {
    "bank": ("bank_", "lutbank_", "ultrabank_"),
    "tile": ("arraytile_", "cascade_", "dot_"),
    "operands": ("matmul.array.",),
    "array": ("matmul.array",),
    "feed": ("matmul.feed",),
    "lanes": ("matmul.drain.lanes",),
    "scores": ("matmul.drain.scores", "rowmaximum_"),
    "requantize": ("matmul.drain.requantize", "requantizelane_"),
    "drain": ("matmul", "gelulookup_", "residuallane"),
    "norm_lanes": ("norm.lanes", "normlane_", "normcode_"),
    "norm": ("norm",),
    "softmax_lanes": ("softmax.lanes", "softmax.sum", "exp2_"),
    "softmax": ("softmax",),
    "activation_ports": ("pairport_",),
    "queues": tuple(f"control.{unit}.queue" for unit in NAMES),
    **{memory: (memory,) for memory in (*TOKEN_MEMORIES, *CONSTANT_MEMORIES)},
    **{unit: (unit,) for unit in ("control", "dma", "load", "store")},
    "score_memory": ("scores",),
}
"""By block: prefixes of the names of its modules, below the engine. The longest prefix counts."""

ONE: Features = {"one": 1}
"""A feature of logic that is there once, whatever the sizes."""


def block_of(module: str) -> str | None:
    """Find the block of a module by its name below the engine; None for the engine itself."""
    if module.endswith(".bank"):
        return "bank"
    fits = {
        prefix: block
        for block, prefixes in MODULES.items()
        for prefix in prefixes
        if module.startswith(prefix)
    }
    return fits[max(fits, key=len)] if fits else None


SHORTEST_SHIFT_REGISTER = 3  # stages; Yosys' xilinx_srl -minlen

# LUTs that choose a bit of four token lanes' sums among all groups of four, by token lanes, as
# measured: Yosys' abc finds more or less of the sharing among five groups and more.
QUAD_LUTS = {
    family: dict(zip(range(2, 33, 2), luts, strict=True))
    for family, luts in {
        "xilinx": (0, 0, 2, 4, 4, 4, 4, 4, 8, 16, 8, 8, 12, 12, 12.7, 12),
        "ecp5": (0, 0, 2, 4, 6, 8, 12, 16, 16, 20, 18, 20, 24, 20, 26.7, 28),
    }.items()
}

# LUTs that choose a bit among so many granules, as measured.
GRANULE_LUTS = {
    "xilinx": {1: 0, 2: 1, 4: 1, 8: 3, 16: 5.2},
    "ecp5": {1: 0, 2: 1, 4: 4, 8: 7, 16: 28.4},
}


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
        | {"rows": e.row_lanes, "scale_bits": QUAD * groups * TokenScale.as_shape().size}
        | {"slot_scale_bits": slots * TokenScale.as_shape().size},
        "scores": ONE
        | {"comparators": e.row_lanes - 1, "rows": e.row_lanes}
        | {"tokens": e.token_lanes, "maxima_bits": (slots + e.token_lanes) * numerics.SCORE_BITS},
        "requantize": ONE | {"rows": e.row_lanes, "code_bits": e.row_lanes * e.act_bits},
        "drain": ONE
        | {"rows": e.row_lanes, "code_bits": e.row_lanes * e.act_bits, "tokens": e.token_lanes}
        | {"latency": latency},
    }


def _operands(e: EngineConfig, cascade: int, family: str) -> Features:
    """Measure the packed operands, delayed by depth lane; long delays are shift-register LUTs."""
    packing = array_packing(e)
    ports = (
        (e.token_lanes, e.act_bits, packing.token_pack),
        (e.row_lanes, numerics.ATOM_BITS, packing.row_pack),
    )
    delays = [OperandPacker.LATENCY + Cascade.skew(d % cascade) for d in range(e.depth_lanes)]
    short = [d for d in delays if family == "ecp5" or d < SHORTEST_SHIFT_REGISTER]
    features = {"register_bits": 0.0, "shift_bits": 0.0, "digit_bits": 0.0, "codes": 0.0}
    for lanes, bits, pack in ports:
        features["register_bits"] += lanes * (bits + 1) * sum(short)
        features["shift_bits"] += lanes * (bits + 1) * (len(delays) - len(short))
        features["digit_bits"] += lanes * (pack - 1) / pack * e.depth_lanes * (bits + 2)
        features["codes"] += lanes / pack * e.depth_lanes
    return features


def _norm(e: EngineConfig, family: str) -> Blocks:
    lanes = PAIR * e.norm_lanes
    return {
        "norm_lanes": {"lanes": lanes, "code_bits": lanes * e.act_bits},
        "norm": ONE
        | {"lanes": lanes, "chosen_bits": _chosen(e.norm_parts, lanes * numerics.RESIDUAL_BITS)},
    }


def _softmax(e: EngineConfig, family: str) -> Blocks:
    lanes = e.softmax_lanes
    return {
        "softmax_lanes": {"lanes": lanes, "code_bits": lanes * e.act_bits},
        "softmax": ONE
        | {"lanes": lanes, "slots": e.score_slots, "token_slots": e.token_lanes * e.score_slots}
        | {"chosen_bits": _chosen(e.softmax_parts, lanes * numerics.SCORE_BITS)},
    }


def _chosen(parts: int, bits: int) -> int:
    """Count the bits that are chosen from the parts of a word."""
    return bits if parts > 1 else 0


def _granule_choice(e: EngineConfig, lanes: int, bits: int, family: str) -> Features:
    """Measure the choice of a granule of each word that is read."""
    return {"choice_luts": lanes * e.depth_lanes * bits * GRANULE_LUTS[family][e.granules]}


def _activations(e: EngineConfig, family: str) -> Blocks:
    pairs, code_bits = e.token_lanes // 2, PAIR * e.row_lanes * e.act_bits
    ports: Features = {
        "pairs": pairs,
        "granules": pairs * e.granules,
        "code_bits": pairs * code_bits,
        "selector_bits": pairs * code_bits * ceil_log2(max(2, pairs)),
    }
    choice = _granule_choice(e, e.token_lanes, e.act_bits, family)
    return {"activation_ports": ports, "activations": ONE | {"code_bits": code_bits} | choice}


def _control(e: EngineConfig, family: str) -> Blocks:
    split = e.memory_bytes > INSTRUCTION_BYTES
    levels = {"levels": e.queue_depth.bit_length()}
    return {
        "queues": ONE | levels,
        "control": ONE | levels | {"split_bits": 8 * e.memory_bytes * split},
    }


def _load(e: EngineConfig, family: str) -> Blocks:
    return {
        "load": ONE
        | {"beat_bits": 8 * e.memory_bytes, "rows": e.row_lanes, "depth": e.depth_lanes}
        | {"cut_bits": 8 * e.depth_lanes * e.memory_bytes}
    }


BLOCKS: dict[str, Callable[[EngineConfig, str], Blocks]] = {
    "control": _control,
    "dma": lambda e, _: {"dma": ONE | {"beat_bits": 8 * e.memory_bytes}},
    "load": _load,
    "matmul": _matmul,
    "norm": _norm,
    "softmax": _softmax,
    "store": lambda e, _: {"store": ONE | {"beat_bits": 8 * e.memory_bytes, "rows": e.row_lanes}},
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
"""By unit: its blocks, without memories."""

WITH_QUEUES = ("queues", "dma", "drain", "norm", "softmax")
"""The block of each unit with memories of its own (:func:`rtl.resources.memories.queues`)."""


def units(engine: EngineConfig) -> list[str]:
    """Name the units and scratchpads of an engine."""
    return list(dict.fromkeys([*BLOCKS, *banks(engine)]))


def blocks(engine: EngineConfig, family: str) -> Iterator[tuple[str, str, Features]]:
    """Yield unit, block and features for all logic of an engine."""
    of_banks, of_queues = banks(engine), queues(engine)
    for unit in units(engine):
        of_unit = BLOCKS[unit](engine, family) if unit in BLOCKS else {}
        for block, features in of_unit.items():
            if block in WITH_QUEUES:
                features |= memory_features(of_queues[unit], family)
            yield unit, block, features
        if unit in of_banks:
            yield unit, "bank", bank_features(of_banks[unit], family)


SELECTION_COSTS = {
    "xilinx": {"lut": (872, 51, 7), "ff": (945, 16, 0)},
    "ecp5": {"lut": (1416, 159, 19), "ff": (1429, 26, 0)},
}
"""Of the selection of tokens, as counted: once, per score in a cycle, per softmax lane."""
RELOCATION_COSTS = {"xilinx": (91, 71), "ecp5": (90, 188)}
"""LUTs and flip-flops of the drain's addresses where the engine selects tokens, as counted."""


def selection(engine: EngineConfig, family: str) -> dict[str, tuple[float, float]]:
    """Estimate LUTs and flip-flops of the selection of tokens by unit, without memories."""
    if not engine.select_tokens:
        return {}
    sizes = 1, selection_lanes(engine), engine.softmax_lanes
    lut, ff = (
        sum(n * cost for n, cost in zip(sizes, SELECTION_COSTS[family][kind], strict=True))
        for kind in ("lut", "ff")
    )
    ff += engine.softmax_lanes * exact_weight(engine.act_bits).width
    return {"softmax": (lut, ff), "matmul": RELOCATION_COSTS[family]}


# Multipliers of a requantize, a LayerNorm and a softmax lane; of LayerNorm's scalars, and of
# softmax's scales. A product of 27 x 18 bits is one DSP48E2, and two multipliers of 18 x 18.
LANE_DSPS = {"xilinx": 1, "ecp5": 2}
NORM_SCALAR_DSPS = {"xilinx": 10, "ecp5": 16}
SOFTMAX_SCALE_DSPS = {"xilinx": 1, "ecp5": 1}


def dsps(engine: EngineConfig, family: str) -> dict[str, int]:
    """Count the DSPs of each unit."""
    per_lane = LANE_DSPS[family]
    array = engine.products // array_packing(engine).products
    return {
        "matmul": array + per_lane * PAIR * engine.row_lanes,
        "norm": per_lane * PAIR * engine.norm_lanes + NORM_SCALAR_DSPS[family],
        "softmax": per_lane * engine.softmax_lanes
        + SOFTMAX_SCALE_DSPS[family]
        + (IMPORTANCE_LANES if engine.select_tokens else 0),
    }
