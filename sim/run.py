"""``python -m sim.run``: classify images on the simulated engine, from an integer model file."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rtl import config
from rtl.board import Board, load_board
from rtl.cli import BoardName, EngineName, Flag, OptionalPath, command
from rtl.compiler import plan_model
from rtl.errors import ToolError, UserError
from rtl.files import atomic_write, require_writable
from rtl.model import IntegerModel, repack
from sim import runner

SCHEMA = 3


@dataclass(frozen=True)
class RunOptions:
    """Classify images with an integer model on the engine, simulated cycle by cycle.

    The engine's Verilog runs in Verilator (built at first, about two minutes, then cached), and
    every word that it writes is compared with the golden model. Prints the class and the cycles
    of each image: of the first one from the start to its end, of each other one from the end of
    the one before, as images overlap. Example:

    python -m sim.run examples/digits.pulsar examples/*.png
    """

    model: Annotated[Path, tyro.conf.Positional]
    """Integer model file, such as runs/digits/winner-9000fps.pulsar."""
    images: Annotated[
        tuple[Path, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="IMAGE [IMAGE ...]", help_behavior_hint="(at least one)"),
    ] = ()
    """Images (PNG, JPEG, ...); prepared as the model file says."""
    board: BoardName = "sim"
    """Board: sim, ulx3s, zcu102, or a file. Gives clock, memory and engine."""
    engine: EngineName = None
    repack: Flag = False
    """Widen the model's row tiles where the engine's are larger; the logits stay the same."""
    check: Flag = True
    """Compare the logits alone with the golden model, instead of every scratchpad write: faster."""
    json: OptionalPath = None
    """Also write logits, cycles and counters to this file."""


def main(options: RunOptions) -> None:
    """Run the engine on the images."""
    # Imported here: should Pillow be missing, the command says how to get it.
    from sim.preprocessing import prepare

    board = load_board(options.board)
    engine = config.engine(options.engine or board.engine)
    if not options.images:
        raise UserError("no image given: name at least one image file after the model")
    model = IntegerModel.load(options.model)
    if options.repack:
        model = repack(model, engine.row_lanes)
    plan_model(model, engine)
    images = np.stack([prepare(p, model.preprocessing, model.image) for p in options.images])
    if options.json:
        require_writable(options.json)
    with Console(stderr=True).status(
        f"Simulating {len(images)} images on engine '{engine.name}' (the first time: building)"
    ):
        run = runner.run(model, images, board, engine=engine, check=options.check)
    Console().print(_table(options, model, board, run))
    Console().print(_verdict(run))
    if options.json:
        with atomic_write(options.json, "w") as file:
            json.dump(_report(options, model, board, engine, run), file, indent=2)
    if not run.exact:
        raise ToolError(f"the engine differs from the golden model: {run.first_mismatch}")


def _table(options: RunOptions, model: IntegerModel, board: Board, run: runner.EngineRun) -> Table:
    # Names of files and classes are Text: in plain strings rich would look for markup.
    title = f"{options.model.name} on board {board.name}, {board.clock_hz / 1e6:g} MHz"
    table, scale = Table(title=Text(title)), model.classifier.output_scale
    for heading in ("image", "class", "logit", "next", "cycles", "frames/s"):
        table.add_column(heading, justify="left" if heading in ("image", "class") else "right")
    for path, logits, cycles in zip(options.images, run.output, run.cycles, strict=True):
        best, *others = np.argsort(-logits, kind="stable")
        following = [f"{model.class_names[i]} {logits[i] * scale:.2f}" for i in others[:1]]
        table.add_row(
            Text(str(path)),
            Text(model.class_names[best]),
            f"{logits[best] * scale:.2f}",
            Text(following[0] if following else ""),
            f"{cycles:,}",
            f"{board.frames_per_second(cycles):,.0f}",
        )
    return table


def _verdict(run: runner.EngineRun) -> str:
    found = "all equal"
    if not run.exact:
        found = f"{run.wrong_instructions:,} instructions and {run.wrong_outputs:,} logits differ"
    compared = f"{run.words:,} words compared with the golden model, {found}"
    return f"{compared}; {sum(run.cycles):,} cycles simulated in {run.wall_s:.1f} s"


def _report(
    options: RunOptions,
    model: IntegerModel,
    board: Board,
    engine: config.EngineConfig,
    run: runner.EngineRun,
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "model": model.hash,
        "board": board.name,
        "engine": asdict(engine) | {"hash": f"{engine.hash:016x}"},
        "images": [str(path) for path in options.images],
        "classes": [model.class_names[i] for i in run.output.argmax(axis=1)],
        "logits": run.output.tolist(),
        "cycles": list(run.cycles),
        "cycles_per_image": run.cycles_per_image,
        "words": run.words,
        "wrong_instructions": run.wrong_instructions,
        "wrong_outputs": run.wrong_outputs,
        "first_mismatch": run.first_mismatch,
        "counters": run.counters,
        "wall_s": run.wall_s,
    }


if __name__ == "__main__":
    sys.exit(command(main, prog="python -m sim.run"))
