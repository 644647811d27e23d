"""``python -m nas.fit``: cycles, frame rate and resources of a network on boards."""

import json
import sys
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any

import tyro
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from nas.cost import HardwareTarget
from nas.cost.estimate import (
    Estimate,
    caveats,
    error_bars,
    excess,
    figures,
    hardware_figures,
    resources_of,
)
from nas.cost.networks import PLAIN, NamedNetwork
from nas.importer.options import NetworkOptions
from rtl.board import board_names
from rtl.build.synthesis import Resources
from rtl.cli import EngineName, Flag, KeepText, OptionalPath, command
from rtl.compiler.selection import hints
from rtl.console import print_tables
from rtl.errors import UserError
from rtl.files import atomic_write, require_results
from rtl.model.shape import NetworkShape

SCHEMA = 3
WIDTH = 110  # of tables in a file or a pipe
ALL = "all"

ModelName = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|FILE")]


@dataclass(frozen=True)
class FitOptions:
    """Predict what a network costs on boards: cycles, frame rate, resources and the bottleneck.

    The network is compiled without weights, and the exact timing model runs three images in a
    row. Nothing is trained, downloaded or simulated. If no board runs the network, the command
    ends with exit code 2. For example:

    python -m nas.fit deit_small --board all
    """

    model: ModelName
    """Integer model file; ONNX file, or folder of a timm or transformers model; or the name of a
    plain timm model, vit_*, deit_* or deit3_*: deit_small is short for deit_small_patch16_224. A
    name of one without a classifier gets 1,000 classes."""

    network: NetworkOptions = PLAIN

    board: Annotated[str, tyro.conf.arg(metavar="all|NAME|FILE.toml")] = ALL
    """Board: kv260, sim, ulx3s, zcu102, zcu104, a file, or all that come with the package."""

    engine: EngineName = None

    w8: float = 0.0
    """Fraction of row tiles with 8-bit weights in each matrix except the patch embedding, rounded
    up to whole tiles. An integer model file has its own."""

    keep: KeepText = None

    verbose: Flag = False
    """Also print the multiply-accumulates of an image, and the bytes that it moves."""

    json: OptionalPath = None
    """Also write all figures to this file."""


@dataclass(frozen=True)
class Fit:
    """A network on one board.

    Parameters
    ----------
    hardware : HardwareTarget
        The board and its engine.
    estimate : Estimate or None
        Costs of the network; None where the engine refuses it.
    refusal : str or None
        The reason why the engine refuses the network; None where it runs it.
    """

    hardware: HardwareTarget
    estimate: Estimate | None
    refusal: str | None

    @classmethod
    def of(cls, network: NamedNetwork, hardware: HardwareTarget) -> "Fit":
        """Estimate the costs, or note why the engine refuses the network."""
        try:
            return cls(hardware, Estimate.of(hardware, network.shape_on(hardware.engine)), None)
        except UserError as error:
            return cls(hardware, None, str(error))

    @property
    def shapes(self) -> tuple[NetworkShape, ...]:
        """Shape of the network, if the engine runs it."""
        return (self.estimate.shape,) if self.estimate else ()

    @property
    def resources(self) -> Resources | None:
        """Resources of the engine; None where they are not known."""
        return resources_of(self.hardware.engine, self.hardware.board)

    @property
    def error_bars(self) -> tuple[float, float] | None:
        """Range of RTL cycles over predicted ones; None if the engine is not calibrated."""
        return self.estimate and error_bars(self.hardware.board, self.hardware.engine)

    @property
    def excess(self) -> str | None:
        """The parts, engine or network, that are larger than the board; None if none is known."""
        memory = self.estimate and self.estimate.memory_excess
        found = [excess(self.hardware.engine, self.hardware.board), memory]
        return "; ".join(filter(None, found)) or None

    @property
    def problem(self) -> str | None:
        """The reason why the board cannot run the network; None if it can."""
        return self.refusal or self.excess

    def report(self) -> dict[str, Any]:
        """Return all figures, as they are written to JSON."""
        estimate = figures(self.estimate) if self.estimate else None
        board = hardware_figures(self.hardware, *self.shapes)
        return board | {"excess": self.excess, "refusal": self.refusal, "estimate": estimate}


def main(options: FitOptions) -> None:
    """Estimate a network on boards.

    Raises
    ------
    UserError
        If there is no such network or board, or no board runs the network.
    """
    inputs = (options.model, options.network.checkpoint, options.board, options.engine)
    require_results([options.json], inputs)
    console = Console(stderr=True)
    network = NamedNetwork(options.model, options.w8, options.network, options.keep)
    with console.status(f"Reading {options.model}"):
        shape = network.shape()  # a wrong name is reported once, not per board
    fits, reports = [], []
    for name in board_names() if options.board == ALL else [options.board]:
        hardware = HardwareTarget.load(name, options.engine)
        with console.status(f"Compiling for board {hardware.board.name}"):
            fits.append(Fit.of(network, hardware))
            reports.append(fits[-1].report())
    show(fits_table(fits, str(network)))
    if options.verbose:
        show(work_table([fit.estimate for fit in fits if fit.estimate]))
    if options.json:
        asked = {"model": options.model, "w8": options.w8, "keep": shape.keep}
        report = {"schema": SCHEMA, **asked, "boards": reports}
        with atomic_write(options.json, "w") as file:
            json.dump(report, file, indent=2)
    problems = [f"{fit.hardware.board.name}: {fit.problem}" for fit in fits if fit.problem]
    if len(problems) == len(fits):
        raise UserError(f"no board runs {options.model}: {'; '.join(problems)}")
    show(*map(Text, problems + all_hints(fits) + all_caveats(fits)))


def show(*parts: RenderableType) -> None:
    """Print to the terminal; a file or a pipe gets a fixed width."""
    print_tables(*parts, pipe_width=WIDTH)


def all_caveats(fits: list[Fit]) -> list[str]:
    """Return what limits the trust in the predictions: extrapolations, outdated calibrations."""
    return [caveat for fit in fits for caveat in caveats(fit.hardware, *fit.shapes)]


def all_hints(fits: list[Fit]) -> list[str]:
    """Return the numbers of patches that cost a board a token tile for other tokens alone."""
    plans = [(fit.hardware.board, fit.estimate.program.plan) for fit in fits if fit.estimate]
    return [f"{board.name}: {hint}" for board, plan in plans for hint in hints(plan)]


def fits_table(fits: list[Fit], title: str) -> Table:
    """Return the table of costs, one board a row."""
    bars = [fit.error_bars for fit in fits]
    table = Table(
        title=Text(title),
        caption="resources: those of the engine, above those of the board",
        box=box.SIMPLE_HEAD,
    )
    for column in ("board", "engine"):
        table.add_column(column)
    for column in ("cycles", "fps", *(field.name for field in fields(Resources))):
        table.add_column(column, justify="right")
    table.add_column("bottleneck")
    for fit, spread in zip(fits, bars, strict=True):
        table.add_row(*_cells(fit, spread))
    return table


def _cells(fit: Fit, spread: tuple[float, float] | None) -> list[str]:
    board, cycles, rate = fit.hardware.board, "-", "-"
    if fit.estimate:
        cycles = f"{fit.estimate.cycles:,.0f}"
        rate = f"{fit.estimate.frames_per_second:,.1f}"
    if spread:
        cycles += f"\n{spread[0] - 1:+.1%} to {spread[1] - 1:+.1%}"
    limits, used = board.limits.model_dump(), asdict(fit.resources) if fit.resources else {}
    resources = [
        f"{_count(used.get(field.name))}\n{_count(limits[field.name])}"
        for field in fields(Resources)
    ]
    rate += f"\n{board.clock_hz / 1e6:g} MHz"
    binds = "does not fit" if fit.problem else fit.estimate.binds if fit.estimate else "-"
    return [board.name, fit.hardware.engine.name, cycles, rate, *resources, binds]


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.10g}"


def work_table(estimates: list[Estimate]) -> Table:
    """Return the table of work and traffic of an image, one board a row."""
    table = Table(
        title="One image",
        caption="array used: share of its products that are not padding",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("board")
    for column in (
        "MACs\nM",
        "array\nused",
        "memory MB\nread, written",
        "scratchpads MB\nread, written",
        "bytes per cycle\nused, of",
        "dynamic energy\nmJ",
    ):
        table.add_column(column, justify="right")
    for estimate in estimates:
        work, joules = estimate.work, estimate.energy_joules
        useful = sum(part.products for part in estimate.work_by_kind.values())
        table.add_row(
            estimate.board.name,
            f"{work.macs / 1e6:,.1f}",
            f"{useful / work.products:.1%}",
            _megabytes(sum(work.read_bytes.values()), work.written_bytes),
            _megabytes(work.scratchpad_read_bytes, work.scratchpad_written_bytes),
            f"{work.bytes / estimate.cycles:.1f}\n{estimate.memory.bytes_per_cycle:.1f}",
            "uncalibrated" if joules is None else f"{joules * 1e3:,.3g}",
        )
    return table


def _megabytes(*counts: int) -> str:
    return "\n".join(f"{count / 1e6:,.3f}" for count in counts)


if __name__ == "__main__":
    sys.exit(command(main, prog="python -m nas.fit"))
