"""Images classified over a board's pins, beside the golden model and the predicted cycles."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from boards.host.accelerator import Accelerator, RunOutput
from boards.host.layout import Layout
from boards.host.package import Package
from rtl.board import Board
from rtl.compiler import Compiled, compile_model
from rtl.compiler.package import package_of
from rtl.config import EngineConfig
from rtl.model import IntegerModel
from rtl.timing.latencies import unit_latencies
from rtl.timing.simulate import simulate
from sim import golden
from sim.calibration import memory_timing
from sim.pins.line import PinLine
from sim.pins.rates import PinRates

SEVERAL = 4  # images of a run, from which the cycles of each further one are predicted
DEVIATION = 0.01  # of the engine's cycles from the prediction


@dataclass(frozen=True, eq=False)
class PinOutcome:
    """Images that the driver has classified over the pins.

    Parameters
    ----------
    found : RunOutput
        Outputs and cycles of the images.
    rates : PinRates
    wrong : int
        Outputs that differ from golden's.
    predicted : tuple of float
        Cycles of each image by the timing model.
    simulated_cycles : int
    wall_s : float
        Seconds that the simulation took.
    """

    found: RunOutput
    rates: PinRates
    wrong: int
    predicted: tuple[float, ...]
    simulated_cycles: int
    wall_s: float

    @property
    def deviation(self) -> float:
        """The largest relative difference of an image's cycles from the prediction."""
        pairs = zip(self.found.cycles, self.predicted, strict=True)
        return max(abs(cycles / expected - 1) for cycles, expected in pairs)

    def report(self) -> dict:
        """Return all figures, as JSON has them."""
        return {
            "images": len(self.found.outputs),
            "outputs": self.found.outputs.size,
            "wrong_outputs": self.wrong,
            "cycles": [round(cycles, 1) for cycles in self.found.cycles],
            "predicted_cycles": [round(cycles, 1) for cycles in self.predicted],
            "deviation": round(self.deviation, 5),
            **self.rates.report(),
            "simulated_cycles": self.simulated_cycles,
        }


def classify_at_pins(
    engine: Accelerator, compiled: Compiled, board: Board, pixels: np.ndarray
) -> PinOutcome:
    """Classify images with the network that is loaded, and compare.

    Parameters
    ----------
    engine : Accelerator
        On a :class:`sim.pins.line.PinLine`, with a network loaded.
    compiled : Compiled
        The same network.
    board : Board
    pixels : (images, height, width, channels) uint8
    """
    line, package = engine.transport.line, engine.package
    assert isinstance(line, PinLine) and package is not None
    sent, received, cycles, started = line.sent, line.received, line.cycles, time.monotonic()
    found = engine.classify(pixels)
    wall_s = time.monotonic() - started
    busier = max(line.sent - sent, line.received - received)
    rates = PinRates(
        board.clock_hz,
        float(np.mean(found.cycles)),
        busier / len(pixels),
        engine.transport.link.baud,
    )
    wrong = int((found.outputs != golden.run(compiled.model, pixels)).sum())
    room = Layout.of(package, engine.transport.memory_bytes, engine.batch).images
    predicted = predicted_cycles(compiled, board, len(pixels), room)
    return PinOutcome(found, rates, wrong, predicted, line.cycles - cycles, wall_s)


def predicted_cycles(compiled: Compiled, board: Board, images: int, room: int) -> tuple[float, ...]:
    """Predict the cycles of each image, in runs of as many as there is room for in memory.

    Those of a run's first image count from the start, those of others from the end of the one
    before.
    """
    program = compiled.program
    memory, latencies = memory_timing(board), unit_latencies(program.plan.engine)
    first = simulate(program, memory, latencies, 1).cycles
    further = simulate(program, memory, latencies, SEVERAL).cycles_per_image
    assert further is not None
    return tuple(further if index % room else first for index in range(images))


def compile_for(path: Path, board: Board, engine: EngineConfig) -> tuple[Compiled, Package]:
    """Compile an integer model's file, and package it for the driver."""
    compiled = compile_model(IntegerModel.load(path), engine)
    return compiled, package_of(compiled, board, engine, path.name, golden.run)
