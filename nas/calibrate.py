"""``python -m nas.calibrate``: measure a board's engine, and print how far predictions are off."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from os import cpu_count
from pathlib import Path
from typing import Annotated

import tyro

from nas.cost.calibration import Calibration
from nas.cost.calibration_run import SEED_QUICK, CalibrationRun
from nas.cost.engines import sample_engines
from nas.cost.estimate import Estimate
from nas.cost.hardware import HardwareTarget
from nas.cost.measurements import verilog_hash
from nas.cost.networks import NamedNetwork
from nas.cost.records import Errors, PowerModel, ResourceErrors
from nas.cost.sweep import workers
from nas.search.run_folder import locked
from rtl import config
from rtl.board import Board, load_board
from rtl.build.synthesis import Resources
from rtl.build.verilog import require_yosys
from rtl.cli import BoardName, Flag, OptionalPath, command
from rtl.console import print_tables, table
from rtl.errors import ToolError, UserError
from rtl.files import atomic_write, require_results

PROG = "python -m nas.calibrate"
SCHEMA = 2
QUICK_SUBNETS, QUICK_ENGINES = 9, 2
QUICK_FACTOR = 2.0  # a quick check allows so many times the calibration's own errors
QUICK_FLOOR = 0.01  # a relative error that it always allows
COUNTED = ("dsp", "bram", "uram")  # predicted exactly
LIMITS = {
    "subnets": (4, 10_000),
    "engines": (1, 1000),
    "fit_engines": (4, 1000),
    "workers": (1, 256),
}


@dataclass(frozen=True)
class CalibrateOptions:
    """Measure how far the predictions of cycles and resources are off on a board.

    Simulates random networks on the RTL in Verilator and compares their cycles with the timing
    model. Synthesises random engines with Yosys, fits the resource model to some of them, and
    compares it with the others. Writes one file with errors, ranges of validity and the resource
    model beside the board's own, where nas.search, nas.fit and nas.explain find it. An interrupted
    run continues with the same command.

    With --quick it writes nothing: a few fresh networks and engines are compared with the
    calibration that is there, and the exit code is 1 if its error has grown.

    python -m nas.calibrate --board zcu102

    Where you have run Vivado, its reports refine a calibration that is there:

    python -m nas.calibrate --board zcu102 --utilization utilization.rpt

    python -m nas.calibrate --board zcu102 --power power.rpt --network deit_small
    """

    board: BoardName = "sim"
    """Board: kv260, sim, ulx3s, zcu102, zcu104, or a file. Gives engine, memory and device."""
    subnets: int = 45
    """How many random networks to simulate."""
    fit_engines: int = 8
    """How many engines to fit the resource model to: the smallest, the largest and random ones."""
    engines: int = 10
    """How many other random engines to compare the resource model with."""
    workers: Annotated[int, tyro.conf.arg(help_behavior_hint="(default: one per core)")] = (
        cpu_count() or 1
    )
    """Number of processes on this machine."""
    scheduler: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS", help_behavior_hint="")] = None
    """Use the workers of this Dask scheduler instead, such as tcp://10.0.0.1:8786."""
    runs: Path = Path("runs")
    """Keep finished measurements in RUNS/calibration/BOARD, and modules' resources beside them."""
    out: OptionalPath = None
    """Write, check or refine this calibration file instead of the one beside the board's."""
    json: OptionalPath = None
    """Also write errors, speedup and seconds to this file."""
    utilization: OptionalPath = None
    """Scale the resource model to this text of report_utilization, of the board's engine."""
    power: OptionalPath = None
    """Take energy from this text of report_power, of --network on the board's engine."""
    network: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE", help_behavior_hint="")] = None
    """Model file or timm name whose activity the power report has."""
    quick: Flag = False
    """Check the calibration that is there with a few fresh networks and engines."""
    restart: Flag = False
    """Forget the finished measurements."""

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            if not low <= getattr(self, name) <= high:
                flag = name.replace("_", "-")
                raise UserError(f"--{flag} must be from {low} to {high}, not {getattr(self, name)}")
        if bool(self.power) != bool(self.network):
            raise UserError("--power and --network belong together: a report and what ran")


def main(options: CalibrateOptions) -> None:
    """Calibrate one board, or check or refine its calibration."""
    board = load_board(options.board)
    file = options.out or board.calibration
    assert file is not None  # the board was read from a file
    inputs = (options.utilization, options.power, options.network, options.board)
    if options.quick:
        require_results([options.json], (*inputs, file))
    else:
        require_results((file, options.json), inputs)
    if options.utilization or options.power:
        refine(options, board, file)
        return
    require_yosys()
    if options.scheduler:
        with workers(1, options.scheduler):  # not only after minutes of building
            pass
    calibrations = options.runs / "calibration"
    folder = calibrations / board.name
    if options.quick:
        folder /= "quick"
    with locked(folder):
        if options.restart:
            for name in ("points.txt", "seconds.json"):
                (folder / name).unlink(missing_ok=True)
        modules = calibrations / "modules.txt"
        run = CalibrationRun(board, folder, modules, options.workers, options.scheduler)
        if options.quick:
            known = Calibration.load(file, board)
            known.require(board)
            check(run, known, options.json)
        else:
            calibrate(run, options, file)


def calibrate(run: CalibrationRun, options: CalibrateOptions, file: Path) -> None:
    """Measure, fit, compare, write."""
    latency = run.latency(options.subnets)
    resources = run.resources(options.fit_engines, options.engines)
    found = Calibration(
        board=run.board.name,
        device=run.board.device,
        latency=latency,
        resources=resources,
        speedup=run.speedup(latency.held_out),
        seconds=run.clock.seconds | {"total": run.clock.total},
    )
    found = keep_imports(found, file)
    found.save(file)
    show(f"Board {found.board}", latency.errors, resources.errors)
    print(
        f"The timing model is {found.speedup:,.0f} times as fast as the RTL's simulation;"
        f" {found.seconds['total']:,.0f} s in all"
    )
    if options.json:
        write_json(options.json, latency.errors, resources.errors, found)
    print(f"Wrote {file}")


def keep_imports(found: Calibration, file: Path) -> Calibration:
    """Take over the reports that were imported into the calibration to be replaced, and say so."""
    try:
        before = Calibration.load(file)
    except UserError:  # there is none, or it is damaged or of another version
        return found
    kinds = " and ".join(before.imports())
    if not kinds:
        return found
    if before.board != found.board or before.latency.engine_hash != found.latency.engine_hash:
        print(f"Dropped: imported reports of {kinds}, which are of another engine")
        return found
    print(f"Kept: imported reports of {kinds}")
    return found.with_imports(before)


def refine(options: CalibrateOptions, board: Board, file: Path) -> None:
    """Import Vivado's reports into a calibration that is there."""
    found = Calibration.load(file, board)
    found.require(board)
    engine = config.engine(board.engine)
    if options.utilization:
        before = found.resource_model
        found = found.with_utilization(engine, options.utilization)
        used = before.predict(engine), found.resource_model.predict(engine)
        for field in fields(Resources):
            old, new = (getattr(each, field.name) for each in used)
            source = before.reference.capitalize()
            print(f"{field.name}: {old:,.10g} by {source}, {new:,.10g} by Vivado")
    if options.power and options.network:
        shape = NamedNetwork(options.network).shape_on(engine)
        ran = Estimate.of(HardwareTarget(board, engine), shape)
        power = PowerModel.of_report(options.power, ran.work, ran.frames_per_second)
        found = found.model_copy(update={"power": power})
        joules = power.joules(ran.work.products)
        print(f"{options.network}: {joules:.4g} J dynamic energy per image")
    found.save(file)
    print(f"Wrote {file}")


def check(run: CalibrationRun, known: Calibration, report: Path | None) -> None:
    """Compare a calibration with a few fresh networks and engines.

    Raises
    ------
    ToolError
        If an error has grown past its bound.
    """
    if warning := known.warning(run.board):
        print(f"{PROG}: warning: {warning}", file=sys.stderr)
    errors = Errors.of(run.networks(QUICK_SUBNETS, SEED_QUICK))
    if verilog_hash(run.engine) != known.latency.verilog:
        print(f"{PROG}: warning: the engine's Verilog has changed since", file=sys.stderr)
    engines = run.engines("engines", sample_engines(run.board, QUICK_ENGINES, SEED_QUICK))
    resources = ResourceErrors.of(known.resource_model, engines)
    show(f"Board {known.board}, quick check", errors, resources)
    if report:
        write_json(report, errors, resources, known)
    if grown := list(_grown(errors, resources, known)):
        raise ToolError("the calibration does not hold any more: " + "; ".join(grown))


def _grown(errors: Errors, resources: ResourceErrors, known: Calibration) -> Iterator[str]:
    """Describe the errors beyond their bounds."""
    then = known.resources.errors
    for name, now, before in (
        ("timing model", errors.max, known.latency.errors.max),
        ("LUT model", resources.lut, then.lut),
        ("flip-flop model", resources.ff, then.ff),
    ):
        bound = max(QUICK_FACTOR * before, QUICK_FLOOR)
        if now > bound:
            yield f"{name}: error {now:.2%}, at most {bound:.2%} allowed"
    for name in COUNTED:
        now = getattr(resources, name)
        if now and not getattr(then, name):
            yield f"{name.upper()} model: {now} of {resources.n} engines differ"


def write_json(
    path: Path, errors: Errors, resources: ResourceErrors, calibration: Calibration
) -> None:
    """Write the figures that scripts ask for; docs/json.md names them."""
    report = {
        "schema": SCHEMA,
        "board": calibration.board,
        "cycles": errors.model_dump(),
        "resources": resources.model_dump(),
        "speedup": calibration.speedup,
        "seconds": calibration.seconds,
    }
    with atomic_write(path, "w") as file:
        json.dump(report, file, indent=2)


def show(title: str, errors: Errors, resources: ResourceErrors) -> None:
    """Print the errors."""
    title += ": errors on networks and engines that no fit saw"
    result = table("model", "mean", "worst", "Kendall's tau", "of", text=["model"], title=title)
    cells = f"{errors.mape:.2%}", f"{errors.max:.2%}", f"{errors.tau:.4f}", f"{errors.n} networks"
    result.add_row("cycles", *cells)
    engines = f"{resources.n} engines"
    for name in ("lut", "ff"):
        mean, worst = getattr(resources, f"{name}_mean"), getattr(resources, name)
        result.add_row(name.upper(), f"{mean:.2%}", f"{worst:.2%}", "", engines)
    for name in COUNTED:
        count = getattr(resources, name)
        result.add_row(name.upper(), f"{count} differ" if count else "exact", "", "", engines)
    print_tables(result)


if __name__ == "__main__":
    sys.exit(command(main, prog=PROG))
