"""What a calibration measures: points for :mod:`nas.cost.sweep`, and the functions behind them.

The functions run in worker processes; arguments can be pickled, results are JSON values.
"""

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from nas.cost.measure import ModuleCells, measure_engine
from nas.cost.sources import source_hashes
from nas.cost.subnets import Sample
from nas.cost.sweep import Point
from rtl.board import Board
from rtl.build.synthesis import Module, Resources, Utilization, family_of
from rtl.compiler import lower, plan
from rtl.config import EngineConfig
from rtl.errors import ToolError
from rtl.isa.instructions import Unit
from rtl.timing.latencies import unit_latencies
from rtl.timing.simulate import simulate
from sim import runner
from sim.calibration import instruction_times, model_of
from sim.random_model import random_images

TIMED = 5  # predictions, of whose times the median counts
Json = Any


# ------------------------------------------------------------ cycles


def network_points(samples: Sequence[Sample], board: Board, engine: EngineConfig) -> list[Point]:
    """Cycles of one image of each network on the RTL.

    They depend on the programs: a change of the compiler that leaves a program as it is, of the
    timing model for example, keeps its point.
    """
    code = [f"{engine.hash:016x}", source_hashes()["rtl"]]
    return [
        Point(
            measure_network,
            (sample, board, engine),
            ["network", asdict(sample), *code, _program_hash(sample, engine)],
        )
        for sample in samples
    ]


def _program_hash(sample: Sample, engine: EngineConfig) -> str:
    """Of a network's instructions, without constants."""
    code = lower(plan(sample.shape, engine)).code
    return hashlib.sha256(code).hexdigest()[:16]


def measure_network(sample: Sample, board: Board, engine: EngineConfig) -> Json:
    """Simulate a network with random weights; its logits are compared with the golden model's.

    Returns
    -------
    dict
        ``cycles`` of the image, ``seconds`` that its simulation took.

    Raises
    ------
    ToolError
        If the logits differ.
    """
    model = model_of(sample.shape, engine.act_bits)
    run = runner.run(
        model,
        random_images(sample.shape.image, 1),
        board,
        engine=engine,
        check=False,
        settings=_settings(sample),
    )
    if run.mismatches:
        raise ToolError(f"the engine differs from the golden model: {run.first_mismatch}")
    return {"cycles": run.cycles[0], "seconds": round(run.wall_s, 2)}


def exact_points(samples: Sequence[Sample], engine: EngineConfig) -> list[Point]:
    """Cycles of the same by the compiler's timing model."""
    code = [f"{engine.hash:016x}", source_hashes()["compiler"], asdict(unit_latencies(engine))]
    return [
        Point(predict_exactly, (sample, engine), ["exact", asdict(sample), *code])
        for sample in samples
    ]


def predict_exactly(sample: Sample, engine: EngineConfig) -> Json:
    """``cycles`` of one image, and ``seconds`` that the prediction took."""
    latencies = unit_latencies(engine)
    started = time.perf_counter()
    found = simulate(lower(plan(sample.shape, engine)), sample.memory, latencies)
    return {"cycles": found.cycles, "seconds": round(time.perf_counter() - started, 4)}


def speed_points(samples: Sequence[Sample], board: Board, engine: EngineConfig) -> list[Point]:
    """How long the RTL's simulation and the exact model take."""
    return _rtl_points("speed", measure_speed, samples, board, engine)


def measure_speed(sample: Sample, board: Board, engine: EngineConfig) -> Json:
    """``rtl_seconds``, ``model_seconds`` for one image, the compiler's included."""
    predicted = [predict_exactly(sample, engine)["seconds"] for _ in range(TIMED)]
    return {
        "rtl_seconds": measure_network(sample, board, engine)["seconds"],
        "model_seconds": median(predicted),
    }


def unit_points(samples: Sequence[Sample], board: Board, engine: EngineConfig) -> list[Point]:
    """When each instruction wrote last on the RTL, against the timing model."""
    return _rtl_points("units", measure_units, samples, board, engine)


def measure_units(sample: Sample, board: Board, engine: EngineConfig) -> Json:
    """Cycles from predicted end to last write, by unit: a list for each."""
    model = model_of(sample.shape, engine.act_bits)
    times = instruction_times(model, board, engine=engine, settings=_settings(sample))
    late = times.last - np.array(times.prediction.ends)
    found: dict[str, list[float]] = defaultdict(list)
    for operation, cycles in zip(times.program.operations, late, strict=True):
        if operation.unit is not None and not np.isnan(cycles):
            found[Unit(operation.unit).name.lower()].append(round(float(cycles), 2))
    return found


def _rtl_points(
    kind: str,
    measure: Callable[..., Json],
    samples: Sequence[Sample],
    board: Board,
    engine: EngineConfig,
) -> list[Point]:
    """What is measured on the simulated engine, a point for each network."""
    hashes = source_hashes()
    code = [f"{engine.hash:016x}", hashes["rtl"], hashes["compiler"]]
    return [
        Point(measure, (sample, board, engine), [kind, asdict(sample), *code]) for sample in samples
    ]


def _settings(sample: Sample) -> dict[str, int]:
    """Of the simulated memory (sim/hardware/memory.sv)."""
    return {
        "latency": sample.memory.latency_cycles,
        "bytes_per_cycle": round(sample.memory.bytes_per_cycle * 256),
    }


# ------------------------------------------------------------ resources


def engine_points(board: Board, engines: Sequence[EngineConfig], cells: Path) -> list[Point]:
    """Resources of engines on a board's device.

    Parameters
    ----------
    board : Board
    engines : sequence of EngineConfig
    cells : Path
        Folder with the modules that were synthesised before.
    """
    return [
        Point(
            measure_resources,
            (engine, board.device, cells),
            ["engine", asdict(engine), family_of(board.device), source_hashes()["rtl"]],
        )
        for engine in engines
    ]


def measure_resources(engine: EngineConfig, device: str, cells: Path) -> Json:
    """What Yosys makes of an engine; :func:`utilization` reads it."""
    return asdict(measure_engine(engine, device, ModuleCells(family_of(device), cells)))


def utilization(value: Json) -> Utilization:
    """From the JSON value of :func:`measure_resources`."""
    return Utilization(
        total=Resources(**value["total"]),
        units={name: Resources(**unit) for name, unit in value["units"].items()},
        modules={
            name: Module(module["instances"], Resources(**module["own"]))
            for name, module in value["modules"].items()
        },
    )
