"""The static report of a compiled program: cycles, bytes, buffers; as JSON and as a table."""

from collections import Counter
from typing import Any

from rich.console import Group, RenderableType

from rtl.compiler.lowering.layout import LogitPlaces
from rtl.compiler.operations import MemorySpace, Program
from rtl.config import EngineConfig
from rtl.console import table
from rtl.timing.breakdown import Breakdown
from rtl.timing.simulate import Prediction

SCHEMA = 1
COUNTED_IN = {MemorySpace.ACTIVATIONS: "granules", MemorySpace.GELU: "tables"}  # all others: words


def report(
    program: Program, prediction: Prediction, breakdown: Breakdown, clock_hz: int
) -> dict[str, Any]:
    """Put all figures into a JSON object.

    Parameters
    ----------
    program : Program
    prediction : Prediction
        Prediction of this program: ``cycles`` of one image, ``cycles_per_image`` of several.
    breakdown : Breakdown
        Breakdown of one image's cycles.
    clock_hz : int
    """
    engine = program.plan.engine
    return {
        "schema": SCHEMA,
        "engine": {"name": engine.name, "hash": f"{engine.hash:016x}"},
        "cycles": prediction.cycles,
        "cycles_per_image": prediction.cycles_per_image,
        "fps": clock_hz / prediction.cycles,
        "clock_hz": clock_hz,
        "matmul_cycles": {kind: round(value) for kind, value in prediction.by_kind.items()},
        "waiting_cycles": {str(wait): round(value) for wait, value in breakdown.waits().items()},
        "busy_cycles": {unit.name.lower(): round(value) for unit, value in prediction.busy.items()},
        "bytes": {
            "moved": prediction.bytes,
            "constants": program.constant_bytes,
            "program": program.program_bytes,
        },
        "instructions": dict(
            Counter(operation.opcode.name.lower() for operation in program.operations)
        ),
        "buffers": {
            name: {"used": used, "available": available, "unit": unit}
            for name, used, available, unit in _buffers(program)
        },
    }


def _buffers(program: Program) -> list[tuple[str, int, int, str]]:
    """List name, highest address in use, capacity and unit of each scratchpad."""
    plan = program.plan
    engine = plan.engine
    highest: Counter[MemorySpace] = Counter()
    for operation in program.operations:
        for region in (*operation.reads, *operation.writes):
            highest[region.space] = max(highest[region.space], region.stop)
    # Regions count tokens there, and parts of the logits.
    logits = 0 if plan.shape.dense else LogitPlaces(plan).stop
    highest[MemorySpace.RESIDUAL] = max(plan.residual_words, logits)
    return [
        (space.name.lower(), highest[space], capacity, COUNTED_IN.get(space, "words"))
        for space, capacity in _capacities(engine).items()
    ]


def _capacities(engine: EngineConfig) -> dict[MemorySpace, int]:
    """Size of each scratchpad, in what the report counts."""
    return {
        MemorySpace.ACTIVATIONS: engine.activation_words * engine.granules,
        MemorySpace.PIXELS: engine.pixel_words,
        MemorySpace.KEYS: engine.key_words,
        MemorySpace.VALUES: engine.value_words,
        MemorySpace.SCORES: engine.score_words,
        MemorySpace.RESIDUAL: engine.residual_words,
        MemorySpace.WEIGHTS: engine.weight_words,
        MemorySpace.PARAMETERS: engine.parameter_words,
        MemorySpace.EXPONENTS: engine.exponent_words,
        MemorySpace.GELU: 2,
    }


def tables(figures: dict[str, Any]) -> RenderableType:
    """Make tables for a terminal of what :func:`report` returns."""
    total, title = figures["cycles"], "Cycles of the matmul unit"
    cycles = table("layers", "cycles", "of the image", text=["layers"], title=title)
    for kind, value in figures["matmul_cycles"].items():
        cycles.add_row(kind, f"{value:,}", f"{value / total:.1%}")
    for wait, value in figures["waiting_cycles"].items():
        cycles.add_row(f"idle: {wait}", f"{value:,}", f"{value / total:.1%}")
    rate = f"{figures['fps']:,.1f} frames per second"
    cycles.add_row("image", f"{total:,}", rate)
    if following := figures["cycles_per_image"]:
        rate = f"{figures['clock_hz'] / following:,.1f} frames per second"
        cycles.add_row("each further image", f"{following:,.0f}", rate)

    units = table("unit", "instructions", "busy", text=["unit"], title="Units")
    for unit, value in sorted(figures["busy_cycles"].items()):
        units.add_row(unit, f"{figures['instructions'][unit]:,}", f"{value / total:.1%}")

    buffers = table("buffer", "used", "available", "", text=["buffer", ""], title="Buffers")
    for name, buffer in figures["buffers"].items():
        buffers.add_row(name, f"{buffer['used']:,}", f"{buffer['available']:,}", buffer["unit"])
    moved = figures["bytes"]
    summary = (
        f"{moved['moved']:,} bytes per image; constants {moved['constants']:,},"
        f" program {moved['program']:,} bytes"
    )
    return Group(cycles, units, buffers, summary)
