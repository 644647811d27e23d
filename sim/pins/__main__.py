"""``python -m sim.pins``: images through a board's whole top, simulated at its serial pins."""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console

from boards.host.accelerator import Accelerator
from boards.host.package import Package
from boards.host.table import results, title
from rtl import config
from rtl.board import load_board
from rtl.cli import BoardName, EngineName, ImageFiles, OptionalPath, command
from rtl.errors import ToolError, UserError
from rtl.files import atomic_write, require_results
from sim.pins.line import PinLine, open_pins
from sim.pins.outcome import DEVIATION, PinOutcome, classify_at_pins, compile_for
from sim.pins.top import build_top, require_top

PROG = "python -m sim.pins"
SCHEMA = 1


@dataclass(frozen=True)
class PinOptions:
    """Classify images on a board's whole top, simulated from its RTL at its serial pins.

    The top holds engine, memory and serial bridge, and runs in Verilator (built at first, some
    minutes, then cached). The host's own driver loads the model and sends images over the pins at
    4 cycles a bit: of the digits model that is 6 million cycles, some minutes. The logits must be
    golden's, the cycles within 1 % of the prediction. Prints the frames per second of the engine
    and of the serial line, apart. Example:

    python -m sim.pins examples/digits.pulsar examples/*.png
    """

    model: Annotated[Path, tyro.conf.Positional]
    """Integer model file."""
    images: ImageFiles = ()
    """Images; prepared as the model file says."""
    board: BoardName = "ulx3s"
    """Board: one with a top module of ours, ulx3s."""
    engine: EngineName = None
    json: OptionalPath = None
    """Also write logits and figures to this file."""


def main(options: PinOptions) -> None:
    """Run the images; golden's logits in the predicted cycles, or an error."""
    from boards.host.pictures import prepare_all

    if not options.images:
        raise UserError("no image given: name at least one image file after the model")
    board = load_board(options.board)
    require_top(board)
    engine = config.engine(options.engine or board.engine)
    inputs = (options.model, options.board, options.engine, *options.images)
    require_results([options.json], inputs)
    compiled, package = compile_for(options.model, board, engine)
    pixels = prepare_all(options.images, package.preprocessing, package.image)
    status = Console(stderr=True).status
    with status("Building the top's simulation, the first time some minutes"):
        build = build_top(board, engine)
    started = time.monotonic()
    with (
        status("Simulating at the pins: loading the model takes minutes"),
        Accelerator(open_pins(build, board.clock_hz)) as driver,
    ):
        driver.load(package, self_test=False)
        outcome = classify_at_pins(driver, compiled, board, pixels)
        line = driver.transport.line
        assert isinstance(line, PinLine)
        cycles = line.cycles
    wall_s = time.monotonic() - started
    print(tables(options, package, outcome), end="")
    print(f"{cycles:,} cycles of the top in {wall_s:,.0f} s")
    if options.json:
        with atomic_write(options.json, "w") as file:
            json.dump(report(options, package, outcome, cycles, wall_s), file, indent=2)
    require_good(outcome)


def tables(options: PinOptions, package: Package, outcome: PinOutcome) -> str:
    """Return the results as text: a table of images, both rates, and how exact it was."""
    board, names = package.board, [str(path) for path in options.images]
    found = outcome.found
    return (
        results(
            title(package.model, board.name, board.clock_hz),
            package.meaning,
            names,
            found.outputs,
            found.cycles,
            board.clock_hz,
        )
        + outcome.rates.text()
        + f"{outcome.wrong} of {found.outputs.size} outputs differ from golden; cycles differ from"
        f" the prediction by {outcome.deviation:.2%} at most\n"
    )


def report(
    options: PinOptions, package: Package, outcome: PinOutcome, cycles: int, wall_s: float
) -> dict:
    """Return all figures, as JSON has them."""
    return {
        "schema": SCHEMA,
        "model": package.model_hash,
        "board": package.board.name,
        "engine": package.engine["hash"],
        "files": [str(path) for path in options.images],
        "values": np.asarray(outcome.found.outputs).tolist(),
        **outcome.report(),
        "simulated_cycles": cycles,
        "wall_s": round(wall_s, 1),
    }


def require_good(outcome: PinOutcome) -> None:
    """Raise a ToolError where outputs or cycles are not what they should be."""
    if outcome.wrong:
        raise ToolError("the top differs from the golden model")
    if outcome.deviation > DEVIATION:
        raise ToolError(
            f"cycles differ from the prediction by {outcome.deviation:.2%}, more than"
            f" {DEVIATION:.0%}: look for what holds up the engine's memory port"
        )


if __name__ == "__main__":
    sys.exit(command(main, prog=PROG))
