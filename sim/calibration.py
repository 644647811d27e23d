"""What the engine takes, to be held against the timing model: cycles of images and instructions.

::

    measured = instruction_times(model, image, board)
    predicted = simulate(measured.program, memory_timing(board), unit_latencies(engine))
    late = measured.ends - predicted.ends        # cycles, by instruction
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from boards import Board
from rtl.compiler import MemoryTiming, Program, compile_model
from rtl.compiler.latencies import unit_latencies
from rtl.compiler.timing import Prediction, simulate
from rtl.config import EngineConfig
from rtl.control.isa import Unit
from rtl.model import IntegerModel, Linear
from rtl.shape import NetworkShape
from sim import runner, taps, testbench
from sim.check import tap_layouts
from sim.random_model import random_images, random_model

LANDING_CYCLES = {Unit.LOAD: 0, Unit.MATMUL: 0, Unit.NORM: 2, Unit.SOFTMAX: 0, Unit.STORE: 0}


@dataclass(frozen=True)
class InstructionTimes:
    """One image on the engine, in cycles from its start.

    Parameters
    ----------
    program : Program
    cycles : int
        The whole image.
    first, last : (instructions,) float
        First and last write of each instruction to a scratchpad; NaN where it has none.
    """

    program: Program
    cycles: int
    first: np.ndarray
    last: np.ndarray


def memory_timing(board: Board, settings: Mapping[str, int] | None = None) -> MemoryTiming:
    """The board's memory, or that of the simulation's ``settings`` (:func:`sim.runner.run`)."""
    settings = settings or {}
    bandwidth = settings.get("bytes_per_cycle", round(board.bytes_per_cycle() * 256)) / 256
    return MemoryTiming(bandwidth, settings.get("latency", board.memory.latency_cycles))


def instruction_times(
    model: IntegerModel,
    board: Board,
    *,
    engine: EngineConfig | None = None,
    settings: Mapping[str, int] | None = None,
) -> InstructionTimes:
    """Run a random picture and read from the taps when each instruction wrote."""
    engine = engine or runner.engine_of(board)
    compiled = compile_model(model, engine)
    images = random_images(model.image, 1)
    count = len(compiled.program.operations)
    first, last = np.full(count, np.inf), np.full(count, -np.inf)
    with tempfile.TemporaryDirectory(prefix="pulsar-times-") as name:
        job = runner.Job(compiled, images, board, engine, Path(name))
        job.write(settings)
        (result,) = job.simulate(testbench.build(engine), True, None)
        for buffer, layout in tap_layouts(engine).items():
            for file in job.taps.glob(f"{buffer}*.bin"):
                for beats in taps.read(file, layout):
                    numbers = beats.fields["number"]
                    np.minimum.at(first, numbers, beats.cycle)
                    np.maximum.at(last, numbers, beats.cycle)
    start = result["last_cycle"] - result["cycles"]
    first[np.isinf(first)] = last[np.isinf(last)] = np.nan
    return InstructionTimes(compiled.program, result["cycles"], first - start, last - start)
