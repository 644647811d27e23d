"""``python -m nas.calibrate``: measure a board's engine, fit the cost models, print their error."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from os import cpu_count
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from nas.cost.calibration import (
    Calibration,
    Errors,
    HeldOut,
    LatencyRecord,
    ResourceErrors,
)
from nas.cost.campaign import (
    SEED_QUICK,
    Campaign,
    Pool,
    against_rtl,
    candidates_per_second,
)
from nas.cost.energy import energy
from nas.cost.engines import sample_engines
from nas.cost.estimate import Estimate
from nas.cost.hardware import HardwareTarget
from nas.cost.plain import shape_for
from nas.cost.reports import imports, with_imports, with_power, with_utilization
from nas.cost.sources import source_hashes
from nas.cost.sweep import workers
from nas.search.run_folder import locked
from rtl import config
from rtl.board import Board, load_board
from rtl.build.synthesis import Resources
from rtl.build.verilog import require_yosys
from rtl.cli import BoardName, Flag, OptionalPath, command
from rtl.errors import ToolError, UserError
from rtl.files import atomic_write, require_writable

PROG = "python -m nas.calibrate"
SCHEMA = 1
QUICK_SUBNETS, QUICK_ENGINES = 9, 2
QUICK_FACTOR = 2.0  # of the calibration's own errors that a quick check allows
QUICK_FLOOR = 0.01  # a relative error that it always allows
LIMITS = {
    "subnets": (4, 10_000),
    "engines": (1, 1000),
    "fit_engines": (4, 1000),
    "workers": (1, 256),
}


@dataclass(frozen=True)
class Options:
    """Measure a board's engine and fit the models of latency and resources that the search uses.

    Runs random networks on the RTL in Verilator and random engines through Yosys, fits, and holds
    both models against networks and engines that the fit never saw. Writes one file with
    coefficients, ranges of validity and errors beside the board's own, where nas.search, nas.fit
    and nas.explain find it. An interrupted run continues with the same command.

    With --quick it fits nothing and writes nothing: a few fresh networks and engines are held
    against the calibration that is there, with exit code 1 if its error has grown.

    python -m nas.calibrate --board zcu102

    Where you have run Vivado, its reports refine a calibration that is there:

    python -m nas.calibrate --board zcu102 --utilization utilization.rpt

    python -m nas.calibrate --board zcu102 --power power.rpt --network deit_small
    """

    board: BoardName = "sim"
    """Board: sim, ulx3s, zcu102, or a file. Gives engine, memory and device."""
    subnets: int = 45
    """Random networks on the RTL, all of them held out."""
    fit_engines: int = 8
    """Engines through Yosys that the resource model is fitted to: the ends and random ones."""
    engines: int = 10
    """Random engines that are held out."""
    workers: Annotated[int, tyro.conf.arg(help_behavior_hint="(default: one per core)")] = (
        cpu_count() or 1
    )
    """Processes on this machine."""
    scheduler: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS", help_behavior_hint="")] = None
    """Use the workers of this Dask scheduler instead, such as tcp://10.0.0.1:8786."""
    runs: Path = Path("runs")
    """Finished points lie in RUNS/calibration/BOARD."""
    out: OptionalPath = None
    """The calibration's file, to be written, checked or refined, instead of the one beside the
    board's."""
    json: OptionalPath = None
    """Also write errors, candidates per second and speedup to this file."""
    utilization: OptionalPath = None
    """Refit the resource model to this text of report_utilization, of the board's engine."""
    power: OptionalPath = None
    """Take energy from this text of report_power, of --network on the board's engine."""
    network: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE", help_behavior_hint="")] = None
    """Model file or timm name whose activity the power report has."""
    quick: Flag = False
    """Check the calibration that is there with a few fresh points."""
    restart: Flag = False
    """Forget the finished points."""

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            if not low <= getattr(self, name) <= high:
                flag = name.replace("_", "-")
                raise UserError(f"--{flag} must be from {low} to {high}, not {getattr(self, name)}")
        if bool(self.power) != bool(self.network):
            raise UserError("--power and --network belong together: a report and what ran")


def main(options: Options) -> None:
    """Calibrate one board, or check its calibration."""
    board = load_board(options.board)
    target = options.out or board.calibration
    assert target is not None  # the board was read from a file
    for path in (None if options.quick else target, options.json):
        if path:
            require_writable(path)
    if options.utilization or options.power:
        refine(options, board, target)
        return
    require_yosys()
    if options.scheduler:
        with workers(1, options.scheduler):  # not only after minutes of building
            pass
    folder = options.runs / "calibration" / board.name
    if options.quick:
        folder /= "quick"
    with locked(folder):
        if options.restart:
            for name in ("points.jsonl", "seconds.json"):
                (folder / name).unlink(missing_ok=True)
        campaign = Campaign(board, folder, Pool(options.workers, options.scheduler))
        if options.quick:
            known = Calibration.load(target)
            known.require(board)
            check(campaign, known, options.json)
        else:
            calibrate(campaign, options, target)


def calibrate(campaign: Campaign, options: Options, target: Path) -> None:
    """Measure, fit, validate, write."""
    engine = campaign.engine
    model, ranges = campaign.fit_latency()
    rtl = campaign.networks(options.subnets)
    rows, errors = against_rtl(model, rtl)
    latency = LatencyRecord(
        engine=engine.name,
        engine_hash=f"{engine.hash:016x}",
        coefficients=model.coefficients.to_json(),
        ranges=ranges,
        exact=errors["exact"],
        vectorised=errors["vectorised"],
        units=campaign.units(),
        held_out=[HeldOut(**row) for row in rows],
    )
    resources = campaign.resources(options.fit_engines, options.engines)
    found = Calibration(
        board=campaign.board.name,
        device=campaign.board.device,
        sources=source_hashes(),
        latency=latency,
        resources=resources,
        candidates_per_s=candidates_per_second(model),
        speedup=campaign.speedup(rtl),
        seconds=campaign.clock.seconds | {"total": campaign.clock.total},
    )
    found = keep_imports(found, target)
    found.save(target)
    show(f"Board {found.board}", errors, resources.errors)
    print(
        f"{found.candidates_per_s:,.0f} candidates per second on one core; the exact model is"
        f" {found.speedup:,.0f} times as fast as the RTL's simulation;"
        f" {found.seconds['total']:,.0f} s in all"
    )
    if options.json:
        write_json(options.json, errors, resources.errors, found)
    print(f"Wrote {target}")


def keep_imports(found: Calibration, target: Path) -> Calibration:
    """Take over what was imported into the calibration that is to be replaced, and say so."""
    try:
        before = Calibration.load(target)
    except UserError:  # none, or one that nobody could use
        return found
    kinds = " and ".join(imports(before))
    if not kinds:
        return found
    if before.board != found.board or before.latency.engine_hash != found.latency.engine_hash:
        print(f"Dropped: imported reports of {kinds}, which are of another engine")
        return found
    print(f"Kept: imported reports of {kinds}")
    return with_imports(found, before)


def refine(options: Options, board: Board, target: Path) -> None:
    """Let Vivado's reports into a calibration that is there."""
    found = Calibration.load(target)
    found.require(board)
    engine = config.engine(board.engine)
    if options.utilization:
        before = found.resource_model
        found = with_utilization(found, engine, [options.utilization])
        used = before.predict(engine), found.resource_model.predict(engine)
        for field in fields(Resources):
            old, new = (getattr(each, field.name) for each in used)
            source = before.reference.capitalize()
            print(f"{field.name}: {old:,.10g} by {source}, {new:,.10g} by Vivado")
    if options.power and options.network:
        run = Estimate.of(HardwareTarget(board, engine), shape_for(options.network, engine))
        found = with_power(found, run, options.power)
        joules = energy(run.work, found.power_model)
        print(f"{options.network}: {joules:.4g} J dynamic energy per image")
    found.save(target)
    print(f"Wrote {target}")


def check(campaign: Campaign, known: Calibration, report: Path | None) -> None:
    """Hold a calibration against a few fresh networks and engines.

    Raises
    ------
    ToolError
        If an error has grown past its bound.
    """
    if warning := known.warning(campaign.board):
        print(f"{PROG}: warning: {warning}", file=sys.stderr)
    rtl = campaign.networks(QUICK_SUBNETS, SEED_QUICK)
    _, errors = against_rtl(known.latency_model(campaign.engine), rtl)
    engines = campaign.engines("engines", sample_engines(campaign.board, QUICK_ENGINES, SEED_QUICK))
    resources = ResourceErrors.of(known.resource_model, engines)
    show(f"Board {known.board}, quick check", errors, resources)
    if report:
        write_json(report, errors, resources, known)
    if grown := list(_grown(errors, resources, known)):
        raise ToolError("the calibration does not hold any more: " + "; ".join(grown))


def _grown(
    errors: dict[str, Errors], resources: ResourceErrors, known: Calibration
) -> Iterator[str]:
    """Errors beyond their bounds, in words."""
    then = known.resources.errors
    for name, now, before in (
        ("exact latency model", errors["exact"].max, known.latency.exact.max),
        ("vectorised latency model", errors["vectorised"].max, known.latency.vectorised.max),
        ("LUT model", resources.lut, then.lut),
        ("flip-flop model", resources.ff, then.ff),
    ):
        bound = max(QUICK_FACTOR * before, QUICK_FLOOR)
        if now > bound:
            yield f"{name}: error {now:.2%}, at most {bound:.2%} allowed"
    for name, now, before in (
        ("DSP", resources.dsp, then.dsp), ("BRAM", resources.bram, then.bram)
    ):  # fmt: skip
        if now and not before:
            yield f"{name} model: {now} of {resources.n} engines differ"


def write_json(
    path: Path, errors: dict[str, Errors], resources: ResourceErrors, calibration: Calibration
) -> None:
    """The figures that scripts ask for."""
    report = {
        "schema": SCHEMA,
        "board": calibration.board,
        "latency": errors["vectorised"].model_dump(),
        "latency_exact": errors["exact"].model_dump(),
        "resources": resources.model_dump(),
        "candidates_per_s": calibration.candidates_per_s,
        "speedup": calibration.speedup,
        "seconds": calibration.seconds,
    }
    with atomic_write(path, "w") as file:
        json.dump(report, file, indent=2)


def show(title: str, errors: dict[str, Errors], resources: ResourceErrors) -> None:
    """Print the errors."""
    table = Table(title=f"{title}: errors on what the fit never saw")
    for column in ("model", "mean", "worst", "Kendall's tau", "of"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for name, error in errors.items():
        table.add_row(
            f"cycles, {name}", f"{error.mape:.2%}", f"{error.max:.2%}", f"{error.tau:.4f}",
            f"{error.n} networks",
        )  # fmt: skip
    for name in ("lut", "ff"):
        mean, worst = getattr(resources, f"{name}_mean"), getattr(resources, name)
        table.add_row(name.upper(), f"{mean:.2%}", f"{worst:.2%}", "", f"{resources.n} engines")
    for name in ("dsp", "bram"):
        count = getattr(resources, name)
        verdict = "exact" if not count else f"{count} differ"
        table.add_row(name.upper(), verdict, "", "", f"{resources.n} engines")
    console = Console()
    if not console.is_terminal:
        console = Console(width=100)  # a file or a pipe has no width to keep to
    console.print(table)


if __name__ == "__main__":
    sys.exit(command(main, prog=PROG))
