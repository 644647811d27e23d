"""A photograph on the simulated engine: every word compared with golden, and the tokens kept."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rtl import config
from rtl.board import load_board
from rtl.files import atomic_write
from rtl.model import IntegerModel
from sim import runner


@dataclass(frozen=True)
class SimulatedImage:
    """A run of one image.

    Parameters
    ----------
    cycles : int
    words : int
        That were compared.
    wrong_instructions, wrong_outputs : int
        Instructions that wrote another word than golden; words of the output that differ.
    first_mismatch : str or None
    seconds : float
        Of the simulation and the comparison, without the build.
    """

    cycles: int
    words: int
    wrong_instructions: int
    wrong_outputs: int
    first_mismatch: str | None
    seconds: float

    @property
    def mismatches(self) -> int:
        return self.wrong_instructions + self.wrong_outputs


def run_image(
    model: IntegerModel, pixels: np.ndarray, board: str, engine: str, tokens: Path
) -> SimulatedImage:
    """Run an image on the engine in Verilator, and write the tokens that it stored.

    Parameters
    ----------
    model : IntegerModel
    pixels : (height, width, channels) uint8
    board, engine : str
    tokens : Path
        NumPy file for the engine's output, (tokens, width).
    """
    run = runner.run(model, pixels[None], load_board(board), engine=config.engine(engine))
    with atomic_write(tokens) as file:
        np.save(file, run.output[0])
    return SimulatedImage(
        cycles=run.cycles[0],
        words=run.words,
        wrong_instructions=run.wrong_instructions,
        wrong_outputs=run.wrong_outputs,
        first_mismatch=run.first_mismatch,
        seconds=round(run.wall_s, 1),
    )
