"""A small grid, a board and a resource model that anyone can count, for the engine search."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from nas.cost.engine_search.grid import EngineGrid, subnets_of
from nas.cost.engine_search.sizing import LEVELS, LaneCounts, Storage
from nas.cost.hardware import HardwareTarget
from nas.digits import DIGITS
from rtl.board import Board, BoardMemory, Limits
from rtl.build.synthesis import Resources
from rtl.config import EngineConfig
from rtl.model.shape import NetworkShape
from rtl.resources.model import ResourceModel
from rtl.timing import MemoryTiming, predict
from rtl.timing.latencies import unit_latencies

SPACE = replace(DIGITS, widths=(32, 48), depths=(1,), heads=(2, 3), fractions=(0.0, 1.0))
GRID = [
    LaneCounts(tokens, rows, depth, softmax, norm)
    for tokens in (2, 4, 8)
    for rows, depth in ((8, 4), (8, 8), (16, 8))
    for softmax, norm in ((1, 1), (2, 2))[: rows // depth]
]
SMALLEST, LARGEST = (
    Storage(**{name: levels[end] for name, levels in LEVELS.items()}) for end in (0, -1)
)
AMPLE = {"dsp": 2000, "lut": 10**6, "ff": 10**6, "bram36": 1000, "uram": 0}


class Counted(ResourceModel):
    """Resources that anyone can count."""

    def predict(self, engine: EngineConfig) -> Resources:
        words = engine.activation_words + engine.weight_words
        lanes = engine.products // 4 + 4 * (engine.norm_lanes + engine.softmax_lanes)
        return Resources(
            lanes, 10 * lanes * engine.token_lanes, 99, engine.products / 32 + words / 256
        )


def fitted_to(**ranges: tuple[int, int]) -> ResourceModel:
    """A resource model that was fitted to engines in ranges."""
    return Counted("ecp5", {}, ranges)


MODEL = fitted_to()


def board(**limits: int) -> Board:
    """A board with room for everything, but for the limits that are given."""
    return Board(
        name="made",
        device="LFE5U-85F",
        clock_hz=50_000_000,
        engine="ULX3S",
        limits=Limits(**AMPLE | limits),
        memory=BoardMemory(gigabytes_per_second=3.2, latency_cycles=20, ports=2),
    )


def cycles_of(target: HardwareTarget, shapes: Sequence[NetworkShape]) -> list[float]:
    """Exact cycles; each is computed once for all tests."""
    return [_cycles(target.engine, target.memory, shape) for shape in shapes]


@cache
def _cycles(engine: EngineConfig, memory: MemoryTiming, shape: NetworkShape) -> float:
    return predict(shape, engine, memory, unit_latencies(engine)).cycles


def grid(made: Board, model: ResourceModel = MODEL, act_bits: int = 6) -> EngineGrid:
    return EngineGrid(made, subnets_of(SPACE), act_bits, model, cycles_of)
