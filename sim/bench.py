"""``python -m sim.bench``: cycles of a whole network on an engine, next to the array's bound.

The run that is timed is the run that is checked: every word that the engine writes is compared with
the golden model.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.text import Text

from rtl import config
from rtl.board import Board, load_board
from rtl.cli import BoardName, EngineName, Flag, KeepText, OptionalPath, command
from rtl.compiler import compile_model, plan_model
from rtl.compiler.selection import hints
from rtl.config import EngineConfig
from rtl.console import print_tables, progress_bars, table
from rtl.engine import STALLS
from rtl.errors import ToolError, UserError
from rtl.files import atomic_write, require_results
from rtl.matmul.array import array_packing
from rtl.model import IntegerModel
from rtl.timing.bound import array_work, least_array_cycles
from rtl.timing.latencies import unit_latencies
from rtl.timing.simulate import Prediction, simulate
from sim import runner, workloads
from sim.calibration import memory_timing

SCHEMA = 3
FAST_CLOCK_HZ = 300_000_000
FAST_BYTES_PER_CYCLE = 40.0  # what the ZCU102's memory sustains in a cycle of that clock


@dataclass(frozen=True)
class BenchOptions:
    """Run a whole network on the simulated engine, check every word, and count cycles.

    Networks of DeiT's shapes have random weights in realistic ranges, the images are cut from
    scikit-learn's sample photographs. Weights are fetched anew for every image. Prints cycles next
    to the bound of the array (whole tiles, never waiting), utilisation, and what units waited for.
    The first run of an engine builds its simulation, which takes minutes; then it is cached.

    python -m sim.bench --board zcu102 --model deit_tiny --trace deit.json

    The trace opens in https://ui.perfetto.dev: a lane per unit, a slice per instruction.
    """

    model: Annotated[str, tyro.conf.arg(metavar="NAME|FILE")] = "deit_tiny"
    """deit_tiny, deit_small, deit_base, or an integer model file."""
    board: BoardName = "zcu102"
    """Board: kv260, sim, ulx3s, zcu102, zcu104, or a file. Gives clock, memory and engine."""
    engine: EngineName = None
    w8: float = 0.0
    """Fraction of 8-bit row tiles in each matrix but the patch embedding, in whole tiles."""
    keep: KeepText = None
    images: int = 3
    """How many images to run, 1 to 1000; cycles per image need 3."""
    seed: int = 0
    """Seed of the random weights."""
    latency: Annotated[int | None, tyro.conf.arg(help_behavior_hint="(default: the board's)")] = (
        None
    )
    """Cycles from a read's address to its first data."""
    bytes_per_cycle: Annotated[
        float | None, tyro.conf.arg(help_behavior_hint="(default: the board's)")
    ] = None
    """Bytes that memory gives in a cycle, reads and writes together."""
    fast_clock: Flag = True
    """Don't run again at 40 bytes per cycle, for the frame rate at 300 MHz."""
    json: OptionalPath = None
    """Also write the figures to this file."""
    trace: OptionalPath = None
    """Also write a trace of when each instruction ran, in Chrome's trace-event format."""

    def __post_init__(self) -> None:
        if not 1 <= self.images <= 1000:
            raise UserError(f"--images must be from 1 to 1000, not {self.images}")
        if self.latency is not None and not 1 <= self.latency <= 0xFFFF:
            raise UserError(f"--latency must be from 1 to 65535 cycles, not {self.latency}")
        if self.bytes_per_cycle is not None and not 0.01 <= self.bytes_per_cycle < 256:
            raise UserError(
                f"--bytes-per-cycle must be from 0.01 to below 256, not {self.bytes_per_cycle:g}"
            )


def main(options: BenchOptions) -> None:
    """Measure one network."""
    board = load_board(options.board)
    engine = config.engine(options.engine or board.engine)
    inputs = (options.model, options.board, options.engine)
    require_results((options.json, options.trace), inputs)
    model = load(options, engine)
    memory = {
        "latency": options.latency or board.memory.latency_cycles,
        "bytes_per_cycle": options.bytes_per_cycle or board.bytes_per_cycle(),
    }
    for hint in hints(plan_model(model, engine)):
        print(hint, file=sys.stderr)
    images = workloads.photographs(model, options.images)
    run = measured(model, images, board, engine, memory)
    if options.trace and run.timeline:
        title = f"{options.model} on engine {engine.name}"
        run.timeline.write(options.trace, clock_hz=board.clock_hz, title=title)
    rates = {board.clock_hz: board.clock_hz / typical(run)}
    if options.fast_clock and engine.memory_bytes >= FAST_BYTES_PER_CYCLE:
        fast = measured(
            model, images, board, engine, memory | {"bytes_per_cycle": FAST_BYTES_PER_CYCLE}
        )
        rates[FAST_CLOCK_HZ] = FAST_CLOCK_HZ / typical(fast)
    report = figures(options, model, board, engine, memory, run) | {
        "fps": {f"{clock / 1e6:g}": rate for clock, rate in rates.items()}
    }
    show(report, run)
    if options.json:
        with atomic_write(options.json, "w") as file:
            json.dump(report, file, indent=2)
    if not run.exact:
        raise ToolError(f"the engine differs from the golden model: {run.first_mismatch}")


def load(options: BenchOptions, engine: EngineConfig) -> IntegerModel:
    """Return the model that the options name."""
    if options.model in workloads.DEIT:
        return workloads.deit(
            options.model, engine, bits8=options.w8, seed=options.seed, keep=options.keep
        )
    if not Path(options.model).is_file():
        raise UserError(
            f"no model {options.model!r}: choose one of {', '.join(workloads.DEIT)}, or a file"
        )
    if options.w8:
        raise UserError("--w8 is for the named models: a file has its 8-bit rows already")
    if options.keep is not None:
        raise UserError("--keep is for the named models: a file says what its blocks keep")
    return IntegerModel.load(Path(options.model))


def measured(
    model: IntegerModel,
    images: np.ndarray,
    board: Board,
    engine: EngineConfig,
    memory: dict[str, float],
) -> runner.EngineRun:
    """Simulate and compare, with a progress bar."""
    with progress_bars() as progress:
        what = f"{memory['bytes_per_cycle']:g} bytes per cycle: images"
        task = progress.add_task(what, total=len(images))
        return runner.run(
            model,
            images,
            board,
            engine=engine,
            settings=memory_settings(memory),
            progress=lambda done, _: progress.update(task, completed=done),
        )


def memory_settings(memory: dict[str, float]) -> dict[str, int]:
    """Return the settings of the simulated memory (sim/hardware/memory.sv)."""
    return {
        "latency": int(memory["latency"]),
        "bytes_per_cycle": round(memory["bytes_per_cycle"] * 256),
    }


def typical(run: runner.EngineRun | Prediction) -> float:
    """Return cycles per image in a row of them, or of the first where there are not three."""
    return run.cycles_per_image or float(np.ravel(run.cycles)[0])


def array_multipliers(engine: EngineConfig) -> int:
    """Return the number of hard multipliers in the array."""
    return engine.products // array_packing(engine).products


def figures(
    options: BenchOptions,
    model: IntegerModel,
    board: Board,
    engine: EngineConfig,
    memory: dict[str, float],
    run: runner.EngineRun,
) -> dict[str, Any]:
    """Return the figures of the JSON report, but for the frame rates."""
    program = compile_model(model, engine).program
    shape = program.plan.shape
    timing = memory_timing(board, memory_settings(memory))
    predicted = simulate(program, timing, unit_latencies(engine), len(run.cycles))
    bound, cycles = least_array_cycles(program.plan), typical(run)
    simulated = sum(run.cycles)
    return {
        "schema": SCHEMA,
        "model": options.model,
        "model_hash": model.hash,
        "bits8_fraction": workloads.bits8_fraction(shape),
        "keep": shape.keep,
        "board": board.name,
        "engine": engine.to_json() | {"hash": f"{engine.hash:016x}"},
        "memory": memory,
        "images": len(run.cycles),
        "cycles": run.cycles[0],
        "cycles_per_image": run.cycles_per_image,
        "predicted_cycles": typical(predicted),
        "bound_cycles": bound,
        "efficiency": bound / cycles,
        "macs_per_dsp_cycle": array_work(shape) / cycles / array_multipliers(engine),
        "bit_exact": run.exact,
        "first_mismatch": run.first_mismatch,
        "words": run.words,
        "stalls": stalls(run),
        "busy": {unit: events["busy"] for unit, events in run.counters.items()},
        "by_kind": {unit: dict(kinds) for unit, kinds in by_kind(run).items()},
        "bytes_moved": predicted.bytes * len(run.cycles),
        "build_s": run.build_s,
        "wall_s": run.wall_s,
        "sim_cycles_per_s": simulated / run.wall_s,
    }


def stalls(run: runner.EngineRun) -> dict[str, dict[str, int]]:
    """Return how many cycles of the run each unit could not go on, by cause."""
    return {
        unit: {
            "no_instruction": events["starved"],
            **{
                name.replace("waits_for", "semaphore_of"): value
                for name, value in events.items()
                if name.startswith("waits_for_") and value
            },
            **{cause: events[f"stall_{bit}"] for bit, cause in enumerate(STALLS[unit])},
        }
        for unit, events in run.counters.items()
    }


def by_kind(run: runner.EngineRun) -> dict[str, Any]:
    return run.timeline.cycles_by_kind() if run.timeline else {}


def show(report: dict[str, Any], run: runner.EngineRun) -> None:
    """Print the report as tables."""
    total = sum(run.cycles)
    columns = "unit", "busy", "could not go on, in cycles"
    units = table(*columns, text=columns[::2], title="Units, all images")
    for unit, causes in report["stalls"].items():
        said = [f"{name.replace('_', ' ')} {value:,}" for name, value in causes.items() if value]
        units.add_row(unit, f"{report['busy'][unit] / total:.1%}", ", ".join(said))
    title = "Cycles of the matmul unit by layer, all images"
    kinds = table("layers", "cycles", "share", text=["layers"], title=title)
    for kind, cycles in by_kind(run).get("matmul", {}).items():
        kinds.add_row(kind, f"{cycles:,}", f"{cycles / total:.1%}")
    title = Text(f"{report['model']} on engine {report['engine']['name']}")
    result = table("", "value", text=[""], title=title)
    per_image = report["cycles_per_image"]
    for name, value in (
        ("8-bit row tiles", f"{report['bits8_fraction']:.1%}"),
        *((f"patches behind block {block}", f"{n:,}") for block, n in report["keep"].items()),
        ("cycles, first image", f"{report['cycles']:,}"),
        ("cycles per image", f"{per_image:,.0f}" if per_image else "needs 3 images"),
        ("predicted", f"{report['predicted_cycles']:,.0f}"),
        ("bound of the array", f"{report['bound_cycles']:,}"),
        ("efficiency", f"{report['efficiency']:.1%}"),
        *((f"frames/s at {clock} MHz", f"{rate:,.1f}") for clock, rate in report["fps"].items()),
        ("words compared", f"{report['words']:,}"),
        ("bit-exact", "yes" if report["bit_exact"] else "NO"),
        ("simulated cycles/s", f"{report['sim_cycles_per_s']:,.0f}"),
    ):
        result.add_row(name, value)
    print_tables(kinds, units, result)


if __name__ == "__main__":
    sys.exit(command(main, prog="python -m sim.bench"))
