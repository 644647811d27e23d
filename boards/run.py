"""``python -m boards.run``: images on a board, or on its simulation, by a package."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from boards.host.accelerator import Accelerator
from boards.host.devices import open_device
from boards.host.errors import ToolError, UserError
from boards.host.package import Package
from boards.host.plugins import offered
from boards.host.reports import require_place, write_report
from boards.host.table import results, title

PROG = "python -m boards.run"
SCHEMA = 2
ABOUT = """Classify images on an engine: load the package, compare memory, run the self-test, run
the images, and print the class and the cycles of each. Cycles are counted by the engine: of the
first image of a run from the start to its end; the others, which overlap, share their mean.
"""
DEVICES = """where the engine is: serial:PORT or serial:PORT@BAUD, a cable to a board; uio or
uio:NAME, on the board itself, with u-dma-buf; pynq or pynq:FILE.bit, on the board itself, with
PYNQ; sim, simulated here (needs pulsar-vit[sim])
"""


class Arguments(argparse.ArgumentParser):
    """A parser that says in one line what is wrong."""

    def error(self, message: str):
        raise UserError(f"{message}: --help lists the options")


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    made = Arguments(PROG, description=ABOUT)
    made.add_argument("package", metavar="PACKAGE", type=Path, help="file from rtl.compiler")
    made.add_argument("images", metavar="IMAGE", nargs="+", help="PNG, JPEG, ...: needs Pillow")
    made.add_argument("--device", required=True, metavar="DEVICE", help=DEVICES)
    made.add_argument(
        "--board",
        default="sim",
        help="of an integer model (.pulsar), which is packaged on the way: sim, ulx3s, ..., or a"
        " file (default: sim)",
    )
    made.add_argument("--engine", help="likewise: its engine, if not the board's own")
    made.add_argument("--batch", type=int, default=64, help="images of a run at most (64)")
    made.add_argument("--no-self-test", action="store_true", help="leave out the self-test")
    made.add_argument("--json", type=Path, metavar="PATH", help="write outputs and cycles, too")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, or 2 and one line on stderr."""
    try:
        run(parser().parse_args(arguments))
        return 0
    except (UserError, OSError) as error:
        said = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else error
        print(f"{PROG}: error: {said}", file=sys.stderr)
        return 2
    except ToolError as error:
        print(f"{PROG}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{PROG}: interrupted", file=sys.stderr)
        return 130


def run(options: argparse.Namespace) -> None:
    """Load, classify, print."""
    if options.batch < 1:
        raise UserError(f"--batch must be at least 1, not {options.batch}")
    require_place(options.json, [options.package, *options.images])
    package = read_package(options.package, options.board, options.engine)
    pixels = read_images(options.images, package)
    with Accelerator(open_device(options.device, package), batch=options.batch) as engine:
        engine.load(package, self_test=not options.no_self_test)
        found = engine.classify(pixels)
        counters = engine.counters()
    board = package.board
    heading = title(package.model, board.name, board.clock_hz)
    outputs = found.outputs
    print(
        results(heading, package.meaning, options.images, outputs, found.cycles, board.clock_hz),
        end="",
    )
    if not options.no_self_test:
        print("self-test: equal to the golden model")
    if options.json:
        report = {
            "schema": SCHEMA,
            "model": package.model_hash,
            "engine": package.engine["hash"],
            "device": options.device,
            "images": options.images,
            "cycles": found.cycles,
            "counters": counters,
            **package.meaning.report(outputs, found.indices),
        }
        write_report(options.json, report)


def read_package(path: Path, board: str, engine: str | None) -> Package:
    """Read a package; package an integer model, where the compiler is installed."""
    packagers = offered("pulsar.packagers")
    kind = path.suffix.lower()[1:]
    if kind in packagers:
        return packagers[kind].load()(path, board, engine)
    return Package.load(path)


def read_images(names: Sequence[str], package: Package) -> np.ndarray:
    """Open and prepare pictures: (images, height, width, channels) uint8."""
    try:
        from boards.host.pictures import prepare_all
    except ModuleNotFoundError:
        raise UserError("Python package 'pillow' not found: pip install pillow") from None
    return prepare_all(names, package.preprocessing, package.image)


if __name__ == "__main__":
    sys.exit(main())
