"""``python -m sim.netlist``: images through the netlist after place and route."""

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
from rtl.board import Board, load_board
from rtl.build.content import placeholder, words_of
from rtl.cli import BoardName, EngineName, ImageFiles, OptionalPath, command
from rtl.compiler import Compiled
from rtl.errors import ToolError, UserError
from rtl.files import atomic_write, require_results, sha256_of
from rtl.soc.ulx3s import MEMORY_WORDS
from sim.netlist.build import build_netlist
from sim.netlist.content import replace_content
from sim.netlist.routed import RoutedNetlist
from sim.pins.line import PinLine, open_pins
from sim.pins.outcome import PinOutcome, classify_at_pins, compile_for
from sim.toolchain import builder

PROG = "python -m sim.netlist"
SCHEMA = 2
ROUTED = "routed.json"


@dataclass(frozen=True)
class NetlistOptions:
    """Classify images on the netlist that nextpnr left after place and route, at its serial pins.

    FOLDER is pulsar_ENGINE_bitstream, which python -m rtl.build left for the board. The netlist
    becomes Verilog, with models of the device's cells, and runs in Verilator; the host's own driver
    sends images over the serial pins at 4 cycles a bit, and the logits must be golden's. The model
    lies in the block RAMs from the start, as in a bitstream of python -m rtl.build.content.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder with routed.json."""
    model: Annotated[Path, tyro.conf.Positional]
    """Integer model file."""
    images: ImageFiles = ()
    """Images; prepared as the model file says."""
    board: BoardName = "ulx3s"
    """Board."""
    engine: EngineName = None
    flip: Annotated[str | None, tyro.conf.arg(metavar="CELL:BIT", help_behavior_hint="")] = None
    """Flip a bit of a look-up table first: the command should then fail."""
    json: OptionalPath = None
    """Also write logits and figures to this file."""


@dataclass(frozen=True, eq=False)
class Simulated:
    """Images on the netlist.

    Parameters
    ----------
    outcome : PinOutcome
        Outputs and cycles of the images, and rates.
    inside : bool
        Whether block RAMs held the model from the start; else it came over the pins.
    wifi_gpio0 : int
        The pin, at the end.
    cycles : int
        Simulated ones.
    simulated_s, build_s : float
        Seconds of simulation, and of building it.
    """

    outcome: PinOutcome
    inside: bool
    wifi_gpio0: int
    cycles: int
    simulated_s: float
    build_s: float


def main(options: NetlistOptions) -> None:
    """Run the images; golden's logits or an error."""
    from boards.host.pictures import prepare

    if not options.images:
        raise UserError("no image given: name at least one image file after the model")
    routed = options.folder / ROUTED
    if not routed.is_file():
        raise UserError(f"{routed} not found: python -m rtl.build --board ulx3s makes it")
    inputs = (options.model, options.board, options.engine, *options.images)
    require_results([options.json], inputs)
    builder.require()
    board = load_board(options.board)
    engine = config.engine(options.engine or board.engine)
    compiled, package = compile_for(options.model, board, engine)
    pixels = np.stack(
        [prepare(path, package.preprocessing, package.image) for path in options.images]
    )
    done = simulate(options, board, compiled, package, pixels)
    print(tables(options, package, done), end="")
    if options.json:
        with atomic_write(options.json, "w") as file:
            json.dump(report(options, package, done), file, indent=2)
    if done.outcome.wrong:
        raise ToolError("the netlist differs from the golden model")


def simulate(
    options: NetlistOptions, board: Board, compiled: Compiled, package: Package, pixels: np.ndarray
) -> Simulated:
    """Build the netlist's simulation, and classify images over its pins.

    Raises
    ------
    UserError
        If the file is no routed netlist, or has no such bit to flip.
    ToolError
        If a tool fails.
    """
    started = time.monotonic()
    with Console(stderr=True).status("Building the netlist's simulation, many minutes"):
        netlist = RoutedNetlist(options.folder / ROUTED)
        if options.flip:
            cell, _, bit = options.flip.rpartition(":")
            if not bit.isdecimal():
                raise UserError(f"--flip {options.flip}: must be CELL:BIT")
            netlist.flip(cell, int(bit))
        words = words_of(package.region, MEMORY_WORDS)
        inside = bool(replace_content(netlist, placeholder(MEMORY_WORDS), words))
        build = build_netlist(netlist, options.folder)
    built = time.monotonic()
    print(f"Model {'in block RAM from the start' if inside else 'loaded over the pins'}")
    with (
        Console(stderr=True).status("Simulating the netlist, many minutes"),
        Accelerator(open_pins(build, board.clock_hz)) as engine,
    ):
        engine.load(package, self_test=False)
        outcome = classify_at_pins(engine, compiled, board, pixels)
        line = engine.transport.line
        assert isinstance(line, PinLine)
        cycles, pin = line.cycles, line.output("wifi_gpio0")
    return Simulated(outcome, inside, pin, cycles, time.monotonic() - built, built - started)


def tables(options: NetlistOptions, package: Package, done: Simulated) -> str:
    """Return the results as text: a table of images, and a line on the simulation."""
    clock_hz, names = package.board.clock_hz, [str(path) for path in options.images]
    heading = title(package.model, package.board.name, clock_hz)
    outcome, found = done.outcome, done.outcome.found
    return (
        results(heading, package.meaning, names, found.outputs, found.cycles, clock_hz)
        + outcome.rates.text()
        + f"{done.cycles:,} cycles of the netlist in {done.simulated_s:,.0f} s"
        f" ({done.cycles / done.simulated_s:,.0f} a second, after {done.build_s:,.0f} s of"
        f" building); {outcome.wrong} of {found.outputs.size} outputs differ from golden\n"
    )


def report(options: NetlistOptions, package: Package, done: Simulated) -> dict:
    """Return all figures, as JSON has them."""
    return {
        "schema": SCHEMA,
        "netlist_sha256": sha256_of(options.folder / ROUTED),
        "model": package.model_hash,
        "engine": package.engine["hash"],
        "files": [str(path) for path in options.images],
        "values": done.outcome.found.outputs.tolist(),
        **done.outcome.report(),
        "model_in_block_ram": done.inside,
        "wifi_gpio0": done.wifi_gpio0,
        "simulated_cycles": done.cycles,
        "simulated_s": round(done.simulated_s, 1),
        "build_s": round(done.build_s, 1),
    }


if __name__ == "__main__":
    sys.exit(command(main, prog=PROG))
