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
from boards.host.table import results, title
from rtl.build.content import placeholder, words_of
from rtl.cli import BoardName, EngineName, ImageFiles, OptionalPath, command
from rtl.compiler.package import package_file
from rtl.errors import ToolError, UserError
from rtl.files import atomic_write, require_writable, sha256_of
from rtl.model import IntegerModel
from rtl.soc.ulx3s import MEMORY_WORDS
from sim import golden
from sim.netlist.build import build_netlist
from sim.netlist.content import replace_content
from sim.netlist.routed import RoutedNetlist
from sim.pins import PinLine, open_pins
from sim.toolchain import builder

PROG = "python -m sim.netlist"
SCHEMA = 1
ROUTED = "routed.json"


@dataclass(frozen=True)
class NetlistOptions:
    """Classify images on the netlist that nextpnr left after place and route, at its serial pins.

    FOLDER is pulsar_ENGINE_bitstream, which python -m rtl.build --bitstream left. The netlist
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


def main(options: NetlistOptions) -> None:
    """Run the images; golden's logits or an error."""
    from boards.host.pictures import prepare

    if not options.images:
        raise UserError("no image given: name at least one image file after the model")
    routed = options.folder / ROUTED
    if not routed.is_file():
        raise UserError(f"{routed} not found: python -m rtl.build --bitstream makes it")
    if options.json:
        require_writable(options.json)
    builder.require()
    package = package_file(options.model, options.board, options.engine)
    model = IntegerModel.load(options.model)
    pixels = np.stack(
        [prepare(path, package.preprocessing, package.image) for path in options.images]
    )
    started = time.monotonic()
    with Console(stderr=True).status("Building the netlist's simulation, many minutes"):
        netlist = RoutedNetlist(routed)
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
        Accelerator(open_pins(build, package.board.clock_hz)) as engine,
    ):
        engine.load(package, self_test=False)
        found = engine.classify(pixels)
        line = engine.transport.line
        assert isinstance(line, PinLine)
        cycles, lights = line.cycles, line.output("wifi_gpio0")
    simulated = time.monotonic() - built
    clock_hz, names = package.board.clock_hz, [str(path) for path in options.images]
    heading = title(package.model, package.board.name, clock_hz)
    print(results(heading, package.meaning, names, found.outputs, found.cycles, clock_hz), end="")
    wrong = int((found.outputs != golden.run(model, pixels)).sum())
    rate = f"{cycles / simulated:,.0f} a second, after {built - started:,.0f} s of building"
    print(
        f"{cycles:,} cycles of the netlist in {simulated:,.0f} s ({rate});"
        f" {wrong} of {found.outputs.size} outputs differ from golden"
    )
    if options.json:
        report = {
            "schema": SCHEMA,
            "netlist_sha256": sha256_of(routed),
            "model": package.model_hash,
            "engine": package.engine["hash"],
            "images": names,
            "outputs": found.outputs.tolist(),
            "wrong_outputs": wrong,
            "cycles": list(found.cycles),
            "model_in_block_ram": inside,
            "wifi_gpio0": lights,
            "simulated_cycles": cycles,
            "simulated_s": round(simulated, 1),
            "build_s": round(built - started, 1),
        }
        with atomic_write(options.json, "w") as file:
            json.dump(report, file, indent=2)
    if wrong:
        raise ToolError("the netlist differs from the golden model")


if __name__ == "__main__":
    sys.exit(command(main, prog=PROG))
