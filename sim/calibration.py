"""Cycles of the simulated engine beside those of the timing model, by instruction.

::

    times = instruction_times(model, board)         # one network, from the taps
    late = times.last - times.prediction.ends       # cycles, by instruction
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rtl.board import Board
from rtl.compiler import Program, compile_model
from rtl.config import EngineConfig
from rtl.model import Block, Features, IntegerModel, Linear
from rtl.model.shape import BlockShape, NetworkShape
from rtl.timing import MemoryTiming, Prediction
from rtl.timing.latencies import unit_latencies
from rtl.timing.simulate import simulate
from sim import runner, taps, testbench
from sim.check import tap_layouts
from sim.random_model import random_images, random_model

IRQ_CYCLES = 1  # from the end of an image to its interrupt, which is a register
Settings = Mapping[str, int]


def memory_timing(board: Board, settings: Settings | None = None) -> MemoryTiming:
    """Return the board's memory, as far as ``settings`` of the simulation do not replace it."""
    settings = settings or {}
    bandwidth = settings.get("bytes_per_cycle", round(board.bytes_per_cycle() * 256)) / 256
    return MemoryTiming(bandwidth, settings.get("latency", board.memory.latency_cycles))


def model_of(shape: NetworkShape, act_bits: int = 6, seed: int = 0) -> IntegerModel:
    """Random weights in a given shape: all of 4 bits, also those in rows of 8 bits."""
    pool = "mean" if shape.mean_pool else "token" if shape.class_token else "all"
    if shape.attention_pool:
        pool = "attention"
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
        pool=pool,
        class_token=shape.class_token,
        registers=shape.registers,
        output="tokens" if shape.dense else "logits",
        front=shape.front_bits8 is not None,
        keep={i: block.keep for i, block in enumerate(shape.blocks) if block.keep is not None},
    )

    def flagged(layer: Linear, flags: tuple[bool, ...]) -> Linear:
        bits = np.where(flags, 8, 4).astype(np.uint8)
        return replace(layer, bits=bits.repeat(shape.row_granularity)[: len(layer.weight)])

    def block_of(block: Block, sizes: BlockShape) -> Block:
        layers = {name: flagged(getattr(block, name), flags) for name, flags in sizes.bits8}
        block = replace(block, **layers)
        if sizes.first_table_units is None:
            return block
        return replace(
            block,
            gelu=np.stack([block.gelu, block.gelu]),
            first_units=sizes.first_table_units,
            second_zero=block.hidden_zero,
        )

    output, front = model.output, model.front
    if not isinstance(output, Features):
        output = replace(output, head=flagged(output.head, shape.head_bits8))
    if front is not None and shape.front_bits8 is not None:
        front = replace(front, layer=flagged(front.layer, shape.front_bits8))
    return replace(
        model,
        blocks=tuple(map(block_of, model.blocks, shape.blocks)),
        embed=flagged(model.embed, shape.embed_bits8),
        output=output,
        front=front,
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
    start = result["last_cycle"] - IRQ_CYCLES - cycles
    prediction = simulate(program, memory_timing(board, settings), unit_latencies(engine))
    return InstructionTimes(program, prediction, cycles, first - start, last - start)
