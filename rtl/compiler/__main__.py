"""``python -m rtl.compiler``: an integer model to program, memory image and static report."""

import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from rtl import config
from rtl.board import load_board
from rtl.cli import BoardName, EngineName, Flag, OptionalPath, command
from rtl.compiler import Compiled, compile_model, symbol_table
from rtl.compiler.package import package_of, reference, write_package
from rtl.files import atomic_write, require_results
from rtl.isa.instructions import Base
from rtl.model import IntegerModel, repack
from rtl.timing import MemoryTiming
from rtl.timing.breakdown import breakdown_of
from rtl.timing.latencies import unit_latencies
from rtl.timing.report import report, tables
from rtl.timing.simulate import simulate

IMAGES = 4  # in a run, from which the cycles of each further image come


@dataclass(frozen=True)
class CompileOptions:
    """Compile an integer model for a board's engine, and predict what it takes.

    The timing model gives the cycles of one image from start to done, and those of each further
    image of a run, since images overlap. With --out, the files that a host needs are written:
    model.bin (the MODEL region), memory.json (its layout), symbols.json (the tensor of each
    instruction), program.txt (disassembly), report.json. Example:

    python -m rtl.compiler examples/digits.pulsar --out build/digits
    """

    model: Annotated[Path, tyro.conf.Positional]
    """Integer model file (docs/format.md)."""

    board: BoardName = "sim"
    """Board: kv260, sim, ulx3s, zcu102, zcu104, or a file. Gives engine, clock and memory."""

    engine: EngineName = None

    repack: Flag = False
    """Widen the model's row tiles where the engine's are larger; the logits stay the same."""

    out: OptionalPath = None
    """Directory for the files."""

    package: OptionalPath = None
    """Also write the one file that a board's host reads (docs/package.md)."""

    disassemble: Flag = False
    """Print the program, one instruction per line."""

    json: OptionalPath = None
    """Also write the report to this file."""


def main(options: CompileOptions) -> None:
    """Compile one model."""
    board = load_board(options.board)
    engine = config.engine(options.engine or board.engine)
    inputs = (options.model, options.board, options.engine)
    require_results((options.package, options.json), inputs)
    model = IntegerModel.load(options.model)
    golden = reference() if options.package else None
    compiled = compile_model(repack(model, engine.row_lanes) if options.repack else model, engine)
    memory = MemoryTiming(board.bytes_per_cycle(), board.memory.latency_cycles)
    package = golden and package_of(compiled, board, engine, options.model.name, golden)
    program, latencies = compiled.program, unit_latencies(engine)
    prediction, several = (simulate(program, memory, latencies, images) for images in (1, IMAGES))
    breakdown = breakdown_of(program, prediction, memory)
    prediction = replace(prediction, cycles_per_image=several.cycles_per_image)
    figures = report(program, prediction, breakdown, board.clock_hz)
    figures |= {"model": str(options.model), "board": board.name, "hash": compiled.hash}
    if options.out:
        _write(compiled, figures, options.out)
    if options.package and package:
        write_package(package, options.package)
    if options.json:
        with atomic_write(options.json, "w") as file:
            file.write(json.dumps(figures, indent=2) + "\n")
    if options.disassemble:
        print(disassembly(compiled), end="")
    else:
        Console().print(tables(figures))


def disassembly(compiled: Compiled) -> str:
    """Disassemble a program, one line per instruction: number, instruction, tensor."""
    lines = []
    for number, operation in enumerate(compiled.program.operations):
        subject, tile = operation.subject, operation.subject.tile
        tokens = f" tokens {tile.tokens.start}+{tile.lane_count}" if tile else ""
        head = f" head {subject.head}" if subject.head >= 0 else ""
        about = f"  ; {subject.tensor}{tokens}{head}" if subject.tensor else ""
        lines.append(f"{number:6} {compiled.program.instruction(number)}{about}\n")
    return "".join(lines)


def _write(compiled: Compiled, figures: dict, folder: Path) -> None:
    memory = asdict(compiled.memory) | {
        "hash": compiled.hash,
        "engine": figures["engine"],
        "regions": [base.name.lower() for base in Base],
    }
    texts = {
        "memory.json": json.dumps(memory, indent=2) + "\n",
        "symbols.json": json.dumps(symbol_table(compiled.program)) + "\n",
        "program.txt": disassembly(compiled),
        "report.json": json.dumps(figures, indent=2) + "\n",
    }
    with atomic_write(folder / "model.bin") as file:
        file.write(compiled.region)
    for name, text in texts.items():
        with atomic_write(folder / name, "w") as file:
            file.write(text)


if __name__ == "__main__":
    sys.exit(command(main, prog="python -m rtl.compiler"))
