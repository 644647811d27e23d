"""``python -m nas.explain``: where the cycles of a network go, and how it reaches a frame rate."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Annotated, Any

import tyro
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nas.cost import HardwareTarget
from nas.cost.estimate import Estimate, caveats, extrapolated, resources_of
from nas.cost.feasible import (
    Alternative,
    NetworkDesign,
    clock_needed,
    lower_precision,
    other_engine,
)
from nas.cost.networks import PLAIN, NamedNetwork
from nas.cost.roofline import plot, points
from nas.fit import Fit, ModelName, all_hints, show
from nas.importer.options import NetworkOptions
from rtl.cli import BoardName, EngineName, KeepText, OptionalPath, command
from rtl.errors import UserError
from rtl.files import atomic_write, require_results
from rtl.timing.breakdown import END

SCHEMA = 4
SLOWEST_HZ, FASTEST_HZ = 1_000_000, 1_000_000_000


@dataclass(frozen=True)
class ExplainOptions:
    """Explain where the cycles of a network go on a board, and what blocks a frame rate.

    The exact timing model runs three images in a row. Every cycle of the matmul unit is listed by
    kind of layer and by cause. Then come the nearest designs that reach the target: fewer 8-bit
    rows, another engine that fits the board, another clock. Where the board's engine refuses the
    network, the error names the limit and the nearest engine that runs it. For example:

    python -m nas.explain deit_small --board zcu102 --fps 300 --out roofline.png
    """

    model: ModelName
    """Integer model file; ONNX file, or folder of a timm model; or the name of a plain timm model,
    vit_*, deit_* or deit3_*: deit_small is short for deit_small_patch16_224. A name of one without
    a classifier gets 1,000 classes."""

    fps: float
    """Target in frames per second."""

    network: NetworkOptions = PLAIN

    board: BoardName = "zcu102"
    """Board: kv260, sim, ulx3s, zcu102, zcu104, or a file. Gives clock, memory and engine."""

    engine: EngineName = None

    w8: float = 0.0
    """Fraction of row tiles with 8-bit weights in each matrix except the patch embedding, rounded
    up to whole tiles. An integer model file has its own."""

    keep: KeepText = None

    clock: Annotated[
        int | None, tyro.conf.arg(metavar="HZ", help_behavior_hint="(default: the board's)")
    ] = None
    """Clock of the engine in Hz, instead of the board's."""

    out: OptionalPath = None
    """Draw the roofline into this PNG file."""

    json: OptionalPath = None
    """Also write all figures to this file, and the sizes of the engines that are named."""

    @property
    def named(self) -> NamedNetwork:
        """The network with its options."""
        return NamedNetwork(self.model, self.w8, self.network, self.keep)

    def __post_init__(self) -> None:
        if not 0 < self.fps < float("inf"):
            raise UserError(f"--fps must be positive, not {self.fps:g}")
        if self.clock is not None and not SLOWEST_HZ <= self.clock <= FASTEST_HZ:
            raise UserError(
                f"--clock must be from {SLOWEST_HZ} to {FASTEST_HZ} Hz, not {self.clock}"
            )


def main(options: ExplainOptions) -> None:
    """Explain one network on one board."""
    inputs = (options.model, options.network.checkpoint, options.board, options.engine)
    require_results((options.out, options.json), inputs)
    console = Console(stderr=True)
    hardware = HardwareTarget.load(options.board, options.engine)
    if options.clock:
        hardware = hardware.at(options.clock)
    with console.status(f"Compiling for board {hardware.board.name}"):
        options.named.shape()  # a wrong name is an error of its own
        fit = Fit.of(options.named, hardware)
    if fit.estimate:
        title = f"{options.named}, on {place(hardware)}"
        show(cycles_table(fit.estimate, options.fps, title))
        show(Text(obstacle(fit.estimate, options.fps)))
        show(*map(Text, all_hints([fit]) + caveats(hardware, fit.estimate.shape)))
        if options.out:
            plot(options.out, fit.estimate, options.fps, title)
    with console.status("Looking for the nearest designs"):
        remedies = list(nearest(options, fit))
    if options.json:
        with atomic_write(options.json, "w") as file:
            json.dump(report(options, fit, remedies), file, indent=2)
    if fit.refusal:
        raise UserError("; ".join([fit.refusal, *(text for text, _ in remedies)]))
    show(*(Text(f"- {text}") for text, _ in remedies))


def place(hardware: HardwareTarget) -> str:
    """Return board, clock and engine for a title."""
    board, engine = hardware.board, hardware.engine
    return f"board {board.name}, {board.clock_hz / 1e6:g} MHz, engine {engine.name}"


def cycles_table(estimate: Estimate, fps: float, title: str) -> Table:
    """Return the table of cycles of the matmul unit: rows are kinds of layers, columns causes."""
    breakdown = estimate.breakdown
    waits = [wait for wait, cycles in breakdown.waits().items() if round(cycles)]
    causes = ("multiply", "padding", "drain", *waits)
    table = Table(title=Text(title), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.caption = "multiply: without padding; others: what the idle matmul unit waits for"
    for column in ("layers", "cycles", "", *causes):
        table.add_column(column, justify="left" if column == "layers" else "right")
    kinds = {kind: _parts(estimate, kind) for kind in [*breakdown.multiplying, END]}
    image = {cause: sum(parts.get(cause, 0.0) for parts in kinds.values()) for cause in causes}
    for kind, parts in (kinds | {"image": image}).items():
        if kind == "image":
            table.add_section()
        total = sum(parts.values())
        cells = [_count(parts.get(cause, 0.0)) for cause in causes]
        table.add_row(kind, _count(total), _share(total / estimate.cycles), *cells)
    allowed = estimate.hardware.cycle_limit(fps)
    table.add_row(f"{fps:g} fps", _count(allowed), _share(allowed / estimate.cycles))
    return table


def _parts(estimate: Estimate, kind: str) -> dict[str, float]:
    """Return the cycles of a kind of layer by cause."""
    breakdown, padding = estimate.breakdown, estimate.padding.get(kind, 0.0)
    return {
        "multiply": breakdown.multiplying.get(kind, 0.0) - padding,
        "padding": padding,
        "drain": breakdown.draining.get(kind, 0.0),
        **breakdown.waiting.get(kind, {}),
    }


def _count(cycles: float) -> str:
    return f"{cycles:,.0f}" if round(cycles) else "-"


def _share(share: float) -> str:
    return f"{round(share, 3) + 0.0:.1%}"  # never -0.0 %


def obstacle(estimate: Estimate, fps: float) -> str:
    """Describe what blocks a frame rate, or that nothing does."""
    allowed, cycles = estimate.hardware.cycle_limit(fps), estimate.cycles
    if cycles <= allowed:
        rate = estimate.frames_per_second
        return f"Reached: {rate:,.1f} frames per second, {allowed - cycles:,.0f} cycles to spare."
    least = estimate.least_cycles
    if least["array"] > allowed:
        return (
            f"Blocked by the array: even without any wait {least['array']:,} cycles are needed,"
            f" {allowed:,.0f} allowed."
        )
    if least["memory"] > allowed:
        return (
            f"Blocked by memory: {estimate.work.bytes / allowed:.1f} bytes per cycle needed,"
            f" {estimate.memory.bytes_per_cycle:.1f} available."
        )
    for name in ("drain", "softmax", "norm"):
        if least[name] > allowed:
            return (
                f"Blocked by the {name}: {least[name]:,.0f} cycles are needed, {allowed:,.0f}"
                " allowed."
            )
    wait, idle = next(iter(estimate.breakdown.waits().items()))
    return (
        f"Blocked by waits: {cycles - allowed:,.0f} cycles too many; the matmul unit is idle for"
        f" {sum(estimate.breakdown.waits().values()):,.0f}, most of all for {wait}, {idle:,.0f}."
    )


Remedy = tuple[str, NetworkDesign | None]
"""A line on how to come nearer to a target, and the design that reaches it, if there is one."""


def nearest(options: ExplainOptions, fit: Fit) -> Iterator[Remedy]:
    """Yield remedies for a missed target, or an engine that runs what the board's refuses."""
    estimate = fit.estimate
    if estimate is None:
        yield runs_elsewhere(options, fit.hardware)
    elif estimate.frames_per_second < options.fps:
        if design := lower_precision(options.named, fit.hardware, options.fps):
            share = f"{design.network.bits8:.0%} of the row tiles with 8 bits"
            text = f"{share}: {_rate(design.estimate)}"
            yield (text, design) if design.reaches(options.fps) else (f"not even {text}", None)
        yield faster_engine(options, estimate)
        yield faster_clock(options, estimate)


def runs_elsewhere(options: ExplainOptions, hardware: HardwareTarget) -> Remedy:
    """Find the nearest engine for a network that the board's engine refuses, at whatever rate."""
    found = other_engine(options.named, hardware, options.fps)
    if design := found.design:
        slow = "" if design.reaches(options.fps) else "; none known reaches the target"
        return f"{_engine(design)}, runs it: {_costs(design)}{slow}", design
    text = f"no other engine known to fit board '{hardware.board.name}' runs it"
    return _with_reason(text, found), None


def faster_engine(options: ExplainOptions, estimate: Estimate) -> Remedy:
    """Find the nearest engine that reaches the target; otherwise the fastest, if it is faster."""
    found = other_engine(options.named, estimate.hardware, options.fps)
    design = found.design
    if design and design.reaches(options.fps):
        return f"{_engine(design)}: {_costs(design)}", design
    text = "no other engine known to fit the board reaches it"
    if design and design.estimate.frames_per_second > estimate.frames_per_second:
        text += f"; the fastest is {_engine(design)}: {_costs(design)}"
    return _with_reason(text, found), None


def faster_clock(options: ExplainOptions, estimate: Estimate) -> Remedy:
    """Find the clock at which the board's engine reaches the target."""
    if clock := clock_needed(estimate, options.fps):
        text = f"this engine reaches {_rate(estimate)}; the target needs {clock / 1e6:g} MHz"
        return text, NetworkDesign(options.named, estimate.at(clock))
    return f"this engine reaches {_rate(estimate)}; no clock is fast enough for memory", None


def _engine(design: NetworkDesign) -> str:
    engine = design.estimate.engine
    return f"engine {engine.name}, act_bits {engine.act_bits}"


def _costs(design: NetworkDesign) -> str:
    """Describe cycles, rate and resources of a design."""
    estimate = design.estimate
    text = f"{estimate.cycles:,.0f} cycles, {_rate(estimate)}"
    resources = resources_of(estimate.engine, estimate.board)
    if resources is None:
        return f"{text}, resources unknown"
    counts = ", ".join(f"{name} {count:,.10g}" for name, count in asdict(resources).items())
    beyond = extrapolated(estimate.engine, estimate.board)
    return f"{text}, {counts}{' (extrapolated)' if beyond else ''}"


def _with_reason(text: str, found: Alternative) -> str:
    return f"{text}: {found.reason}" if found.reason else text


def _rate(estimate: Estimate) -> str:
    return f"{estimate.frames_per_second:,.1f} frames per second"


def report(options: ExplainOptions, fit: Fit, remedies: Sequence[Remedy]) -> dict[str, Any]:
    """Return all figures, as they are written to JSON."""
    estimate = fit.estimate
    return {
        "schema": SCHEMA,
        "model": options.model,
        "w8": options.w8,
        "keep": options.named.shape().keep,
        "target_fps": options.fps,
        "allowed_cycles": fit.hardware.cycle_limit(options.fps),
        "obstacle": obstacle(estimate, options.fps) if estimate else None,
        **fit.report(),
        "roofline": _roofline(estimate) if estimate else None,
        "nearest": [
            {"text": text, "design": _design(design) if design else None}
            for text, design in remedies
        ],
    }


def _roofline(estimate: Estimate) -> dict[str, Any]:
    return {
        kind: {
            "macs_per_byte": point.intensity if isfinite(point.intensity) else None,
            "macs_per_second": point.rate,
        }
        for kind, point in points(estimate).items()
    }


def _design(design: NetworkDesign) -> dict[str, Any]:
    """Return the figures of a design for JSON."""
    estimate = design.estimate
    resources = resources_of(estimate.engine, estimate.board)
    return {
        "w8": design.network.bits8,
        "engine": estimate.engine.to_json(),
        "clock_hz": estimate.board.clock_hz,
        "cycles_per_image": estimate.cycles,
        "fps": estimate.frames_per_second,
        "resources": asdict(resources) if resources else None,
        "extrapolated": extrapolated(estimate.engine, estimate.board),
    }


if __name__ == "__main__":
    sys.exit(command(main, prog="python -m nas.explain"))
