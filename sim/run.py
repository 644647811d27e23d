"""``python -m sim.run``: images on the simulated engine, by an integer model file."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console
from rich.text import Text

from boards.host.features import features
from boards.host.meaning import FeatureMeaning, LogitMeaning
from boards.host.table import results, title
from rtl import config
from rtl.board import Board, load_board
from rtl.cli import BoardName, EngineName, Flag, ImageFiles, OptionalPath, command
from rtl.compiler import meaning_of, plan_model
from rtl.errors import ToolError, UserError
from rtl.files import atomic_write, require_results
from rtl.model import Features, IntegerModel, repack
from sim import runner
from sim.host import Host, open_host

SCHEMA = 5


@dataclass(frozen=True)
class RunOptions:
    """Run images through an integer model on the engine, simulated cycle by cycle.

    The engine's Verilog runs in Verilator (built at first, about two minutes, then cached), and
    every word that it writes is compared with the golden model. Prints the class and the cycles
    of each image: of the first one from the start to its end, of each other one from the end of
    the one before, as images overlap. Of a model whose output is tokens, features take the place
    of the class. Example:

    python -m sim.run examples/digits.pulsar examples/*.png
    """

    model: Annotated[Path, tyro.conf.Positional]
    """Integer model file, such as runs/digits/winner-9000fps.pulsar."""
    images: ImageFiles = ()
    """Images (PNG, JPEG, ...); prepared as the model file says."""
    board: BoardName = "sim"
    """Board: kv260, sim, ulx3s, zcu102, zcu104, or a file. Gives clock, memory and engine."""
    engine: EngineName = None
    repack: Flag = False
    """Widen the model's row tiles where the engine's are larger; the output stays the same."""
    check: Flag = True
    """Compare the output alone with the golden model, instead of every scratchpad write: faster."""
    show_tokens: OptionalPath = None
    """Also draw the patches that the model keeps of each image, behind each block that selects, to
    this PNG file."""
    json: OptionalPath = None
    """Also write logits or features, cycles and counters to this file."""


def main(options: RunOptions) -> None:
    """Run the engine on the images."""
    # Imported here: should Pillow be missing, the command says how to get it.
    from boards.host.pictures import prepare_all
    from sim.shown_tokens import check_file, draw_tokens

    board = load_board(options.board)
    engine = config.engine(options.engine or board.engine)
    if not options.images:
        raise UserError("no image given: name at least one image file after the model")
    model = IntegerModel.load(options.model)
    if options.repack:
        model = repack(model, engine.row_lanes)
    meaning = meaning_of(model, plan_model(model, engine))
    images = prepare_all(options.images, model.preprocessing, model.image)
    if options.show_tokens:
        check_file(options.show_tokens, model)
    host = _host(options, model)
    inputs = (options.model, options.board, options.engine, *options.images)
    require_results((options.json, options.show_tokens), inputs)
    with Console(stderr=True).status(
        f"Simulating {len(images)} images on engine '{engine.name}' (the first time: building)"
    ):
        run = runner.run(model, images, board, engine=engine, check=options.check)
    names = [str(path) for path in options.images]
    heading = title(options.model.name, board.name, board.clock_hz)
    print(results(heading, meaning, names, run.output, run.cycles, board.clock_hz), end="")
    output = _output(meaning, run, host)
    for name, values in (output.get("host") or {}).items():
        Console().print(Text(f"{name} of the host network: {np.shape(values)}"))
    Console().print(_verdict(run))
    if options.show_tokens:
        draw_tokens(options.show_tokens, model, images, [path.name for path in options.images])
        print(f"Wrote {options.show_tokens}: the patches that the model keeps")
    if options.json:
        with atomic_write(options.json, "w") as file:
            json.dump(_report(options, model, board, engine, run) | output, file, indent=2)
    if not run.exact:
        raise ToolError(f"the engine differs from the golden model: {run.first_mismatch}")


def _verdict(run: runner.EngineRun) -> str:
    found = "all equal"
    if not run.exact:
        found = f"{run.wrong_instructions:,} instructions and {run.wrong_outputs:,} outputs differ"
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
        "engine": engine.to_json() | {"hash": f"{engine.hash:016x}"},
        "images": [str(path) for path in options.images],
        "cycles": list(run.cycles),
        "cycles_per_image": run.cycles_per_image,
        "words": run.words,
        "wrong_instructions": run.wrong_instructions,
        "wrong_outputs": run.wrong_outputs,
        "first_mismatch": run.first_mismatch,
        "counters": run.counters,
        "wall_s": run.wall_s,
    }


def _host(options: RunOptions, model: IntegerModel) -> Host | None:
    """Open the network behind the features; None if there is none, or no onnxruntime."""
    if not isinstance(model.output, Features) or model.output.host is None:
        return None
    host = open_host(options.model, model.output.host)
    if host is None:
        said = "onnxruntime is not installed: features are the end, the host network is not run"
        Console(stderr=True).print(said, soft_wrap=True)
    return host


def _output(
    meaning: LogitMeaning | FeatureMeaning, run: runner.EngineRun, host: Host | None
) -> dict[str, Any]:
    """List classes and logits; or features, and what the host network makes of them."""
    report = meaning.report(run.output, run.indices)
    if isinstance(meaning, FeatureMeaning):
        found = features(meaning, run.output, meaning.patches)
        report["host"] = {n: v.tolist() for n, v in host(found).items()} if host else None
    return report


if __name__ == "__main__":
    sys.exit(command(main, prog="python -m sim.run"))
