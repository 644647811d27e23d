"""The DSPs of an engine."""

from rtl.config import EngineConfig
from rtl.matmul.array import array_packing
from rtl.matmul.signals import PAIR

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
        "norm": per_lane * PAIR * engine.norm_lanes + NORM_SCALAR_DSPS[family],
        "softmax": per_lane * engine.softmax_lanes + SOFTMAX_SCALE_DSPS[family],
    }
