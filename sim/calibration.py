"""Cycles of the simulated engine beside those of the timing model, by image and instruction.

::

    measured = measure(shapes, board)               # whole networks, no taps: fast
    print(measured.mape, measured.worst, measured.tau)

    times = instruction_times(model, board)         # one network, from the taps
    late = times.last - times.prediction.ends       # cycles, by instruction
"""

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rtl.board import Board
from rtl.compiler import Program, compile_model
from rtl.config import EngineConfig
from rtl.model import IntegerModel, Linear
from rtl.model.shape import NetworkShape
from rtl.timing import MemoryTiming, Prediction, predict
from rtl.timing.latencies import unit_latencies
from rtl.timing.simulate import simulate
from sim import runner, taps, testbench
from sim.check import tap_layouts
from sim.random_model import random_images, random_model

Settings = Mapping[str, int]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Accuracy:
    """Cycles per image that were predicted and measured.

    Parameters
    ----------
    predicted, measured : (networks,) int64 or float64
    """

    predicted: np.ndarray
    measured: np.ndarray

    @property
    def errors(self) -> np.ndarray:
        """Signed errors, as fractions of what was measured."""
        return self.predicted / self.measured - 1

    @property
    def mape(self) -> float:
        """Mean absolute error, a fraction."""
        return float(np.abs(self.errors).mean())

    @property
    def worst(self) -> float:
        """Largest absolute error, a fraction."""
        return float(np.abs(self.errors).max())

    @property
    def tau(self) -> float:
        """Kendall's tau (b): whether the model ranks networks as the engine does."""
        first, second = (
            np.sign(cycles[:, None] - cycles[None])[np.triu_indices(len(cycles), 1)]
            for cycles in (self.predicted, self.measured)
        )
        pairs = np.sqrt(np.abs(first).sum() * np.abs(second).sum())
        return float((first * second).sum() / pairs) if pairs else 1.0


def measure(
    networks: Iterable[NetworkShape | tuple[NetworkShape, Settings]],
    board: Board,
    *,
    engine: EngineConfig | None = None,
    images: int = 1,
    progress: Progress | None = None,
) -> Accuracy:
    """Predict and simulate networks with random weights.

    Parameters
    ----------
    networks : shapes, or pairs of a shape and settings of the memory as of :func:`runner.run`
    board : Board
    engine : EngineConfig, optional
        The engine, in place of the board's.
    images : int
        1: cycles of an image from start to end; from 3 on: cycles per image of so many.
    progress : callable, optional
        Called with how many networks are done, and of how many.

    Raises
    ------
    UserError
        If the engine cannot run one of them.
    """
    engine = engine or runner.engine_of(board)
    jobs = [job if isinstance(job, tuple) else (job, {}) for job in networks]
    predicted, measured = [], []
    for done, (shape, settings) in enumerate(jobs, 1):
        memory = memory_timing(board, settings)
        prediction = predict(shape, engine, memory, unit_latencies(engine), images)
        predicted.append(prediction.cycles_per_image or prediction.cycles)
        pixels = random_images(shape.image, images)
        run = runner.run(
            model_of(shape, engine.act_bits),
            pixels,
            board,
            engine=engine,
            check=False,
            settings=settings,
        )
        measured.append(run.cycles_per_image or run.cycles[0])
        if progress:
            progress(done, len(jobs))
    return Accuracy(np.array(predicted), np.array(measured))


def memory_timing(board: Board, settings: Settings | None = None) -> MemoryTiming:
    """Return the board's memory, as far as ``settings`` of the simulation do not replace it."""
    settings = settings or {}
    bandwidth = settings.get("bytes_per_cycle", round(board.bytes_per_cycle() * 256)) / 256
    return MemoryTiming(bandwidth, settings.get("latency", board.memory.latency_cycles))


def model_of(shape: NetworkShape, act_bits: int = 6, seed: int = 0) -> IntegerModel:
    """Random weights in a given shape: all of 4 bits, also those in rows of 8 bits."""
    model = random_model(
        image=shape.image,
        patch=shape.patch,
        width=shape.width,
        head_dim=shape.head_dim,
        blocks=[(block.heads, block.hidden) for block in shape.blocks],
        classes=shape.classes,
        act_bits=act_bits,
        row_granularity=shape.row_granularity,
        bits8_fraction=0.0,
        seed=seed,
    )

    output = model.classifier

    def flagged(layer: Linear, flags: tuple[bool, ...]) -> Linear:
        bits = np.where(flags, 8, 4).astype(np.uint8)
        return replace(layer, bits=bits.repeat(shape.row_granularity)[: len(layer.weight)])

    blocks = tuple(
        replace(
            block, **{name: flagged(getattr(block, name), flags) for name, flags in sizes.bits8}
        )
        for block, sizes in zip(model.blocks, shape.blocks, strict=True)
    )
    return replace(
        model,
        blocks=blocks,
        embed=flagged(model.embed, shape.embed_bits8),
        output=replace(output, head=flagged(output.head, shape.head_bits8)),
    )


@dataclass(frozen=True)
class InstructionTimes:
    """One image on the engine, instruction by instruction, in cycles from its start.

    Parameters
    ----------
    program : Program
    prediction : Prediction
    cycles : int
        Cycles of the whole image.
    first, last : (instructions,) float
        First and last write of each instruction to a scratchpad; NaN where there is none.
        Writes show some constant cycles before or after the unit's ``done``.
    """

    program: Program
    prediction: Prediction
    cycles: int
    first: np.ndarray
    last: np.ndarray


def instruction_times(
    model: IntegerModel,
    board: Board,
    *,
    engine: EngineConfig | None = None,
    settings: Settings | None = None,
) -> InstructionTimes:
    """Run a random image; the taps say when each instruction wrote."""
    engine = engine or runner.engine_of(board)
    compiled = compile_model(model, engine)
    program = compiled.program
    first = np.full(len(program.operations), np.inf)
    last = -first
    with tempfile.TemporaryDirectory(prefix="pulsar-times-") as name:
        job = runner.SimulationJob(
            compiled, random_images(model.image, 1), board, engine, Path(name)
        )
        job.write(settings)
        result = job.simulate(testbench.build(engine), check=True, progress=None)
        for buffer, layout in tap_layouts(engine).items():
            for file in job.taps.glob(f"{buffer}*.bin"):
                for beats in taps.Tap(file, layout).chunks():
                    np.minimum.at(first, beats.fields["number"], beats.cycle)
                    np.maximum.at(last, beats.fields["number"], beats.cycle)
    first[np.isinf(first)] = last[np.isinf(last)] = np.nan
    (cycles,) = result["done"]
    start = result["last_cycle"] - cycles
    prediction = simulate(program, memory_timing(board, settings), unit_latencies(engine))
    return InstructionTimes(program, prediction, cycles, first - start, last - start)
