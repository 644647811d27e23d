"""``python -m rtl.build``: an engine's Verilog, the files a vendor's tool needs, its resources."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from string import Template

from rich.console import Console
from rich.table import Table

import boards
from rtl import config
from rtl.cli import BoardName, EngineName, Flag, OptionalPath, command
from rtl.emit import emit_rtlil, require_yosys, verilog_of
from rtl.engine import Engine
from rtl.errors import UserError
from rtl.files import atomic_write, require_writable, sha256_of
from rtl.synthesis import Resources, Utilization, utilization

PROG = "python -m rtl.build"
TEMPLATES = Path(boards.__file__).parent / "templates"
SCHEMA = 1
LARGEST = 12  # kinds of module that the table shows


@dataclass(frozen=True)
class Options:
    """Generate the Verilog of an engine for a board, and count its resources.

    Writes pulsar_ENGINE.v, a report (.json) and, for AMD's devices, a Vivado script (.tcl) with
    timing constraints (.xdc) to the output folder, and prints a table of resources: by unit, by
    the largest modules, in total, and next to what the board has. Yosys counts them after
    synthesis for the board's device; no vendor's tool is needed. A design that is too large for
    the board is still written, with exit code 0: the table and a warning say what exceeds it.

    The same engine gives the same Verilog, byte for byte. It is yours, without conditions.

    Synthesis on the vendor's side: cd build && vivado -mode batch -source pulsar_zcu102.tcl
    """

    board: BoardName = "sim"
    """Board: sim, ulx3s, zcu102, or a file."""
    engine: EngineName = None
    """Engine: tiny, ulx3s or zcu102."""
    out: Path = Path("build")
    """Folder that receives the files; it is made if there is none."""
    json: OptionalPath = None
    """Write the report to this file as well."""
    synthesis: Flag = True
    """Don't count resources, which takes minutes: Verilog alone, in less than one."""


@dataclass
class Stopwatch:
    """Seconds by step, and a spinner while one lasts."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str, message: str) -> Iterator[None]:
        started = time.monotonic()
        with Console(stderr=True).status(message):
            yield
        self.seconds[name] = round(time.monotonic() - started, 1)


def main(options: Options) -> None:
    """Build one engine."""
    board = boards.load(options.board)
    engine = config.engine(options.engine or board.engine)
    design = f"pulsar_{engine.name}"
    reports = [options.out / f"{design}.json", *([options.json] if options.json else [])]
    for file in reports:
        require_writable(file)
    require_yosys()
    watch = Stopwatch()
    with watch.step("elaboration_s", f"Elaborating engine '{engine.name}'"):
        rtlil = emit_rtlil(Engine(engine), design)
    with watch.step("verilog_s", "Writing Verilog"):
        verilog = verilog_of(rtlil, assertions=False)
        files = _write_files(options.out, design, verilog, board)
    report = {
        "schema": SCHEMA,
        "board": board.name,
        "device": board.device,
        "engine": asdict(engine) | {"hash": f"{engine.hash:016x}"},
        "verilog_sha256": sha256_of(verilog),
    }
    if options.synthesis:
        with watch.step("synthesis_s", f"Synthesising for {board.device} (Yosys), some minutes"):
            used = utilization(rtlil, design, board.device)
        report |= _counts(used, board)
        _print(_table(used, board, engine))
        if report["excess"]:
            print(f"{PROG}: warning: {report['excess']}", file=sys.stderr)
    report |= watch.seconds | {"elapsed_s": round(sum(watch.seconds.values()), 1)}
    for target in reports:
        with atomic_write(target, "w") as file:
            json.dump(report, file, indent=2)
    times = ", ".join(f"{name[:-2]} {value:g} s" for name, value in watch.seconds.items())
    print(f"Wrote {', '.join(map(str, [*files, *reports]))} ({times})")


def _counts(used: Utilization, board: boards.Board) -> dict:
    """The report's part on resources."""
    try:
        board.require(**asdict(used.total))
        excess = None
    except UserError as error:
        excess = str(error)
    return asdict(used.total) | {
        "limits": board.limits.model_dump(),
        "excess": excess,
        "units": {name: asdict(unit) for name, unit in used.units.items()},
        "modules": {
            name: {"instances": module.instances} | asdict(module.own)
            for name, module in used.modules.items()
        },
    }


def _write_files(out: Path, design: str, verilog: str, board: boards.Board) -> list[Path]:
    values = {
        "design": design,
        "device": board.device,
        "clock_mhz": f"{board.clock_hz / 1e6:g}",
        "period_ns": f"{1e9 / board.clock_hz:.3f}",
    }
    texts = {f"{design}.v": verilog}
    if board.device.startswith("xc"):
        for suffix, template in (("tcl", "vivado.tcl"), ("xdc", "timing.xdc")):
            text = Template((TEMPLATES / template).read_text()).substitute(values)
            texts[f"{design}.{suffix}"] = text
    for name, text in texts.items():
        with atomic_write(out / name, "w") as file:
            file.write(text)
    return [out / name for name in texts]


def _print(table: Table) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)  # a file or a pipe has no width to keep to
    console.print(table)


def _table(used: Utilization, board: boards.Board, engine: config.EngineConfig) -> Table:
    """Resources by unit and by kind of module, with the board's limits below."""
    names = tuple(asdict(Resources()))
    table = Table(title=f"Engine {engine.name} on {board.name} ({board.device}), by Yosys")
    table.add_column("module", no_wrap=True)
    for name in ("instances", *names):
        table.add_column(name, justify="right", no_wrap=True)

    def add(label: str, instances: int | None, row: Resources, style: str = "") -> None:
        values = (f"{value:,.10g}" for value in row.values())
        table.add_row(label, "" if instances is None else f"{instances:,}", *values, style=style)

    design = f"pulsar_{engine.name}"
    for name, unit in sorted(used.units.items(), key=lambda item: -item[1].lut):
        add(name.removeprefix(f"{design}."), 1, unit)
    add("between them", 1, used.modules[design].own)
    table.add_section()
    modules = sorted(used.modules.items(), key=lambda m: -m[1].instances * m[1].own.lut)
    for name, module in modules[:LARGEST]:
        label = f"of it {name.removeprefix(f'{design}.')}"
        add(label, module.instances, module.own * module.instances, "dim")
    table.add_section()
    add("total", None, used.total, "bold")
    limits = [getattr(board.limits, name) for name in names]
    if any(limits):
        shares = [
            _share(value, limit) for value, limit in zip(used.total.values(), limits, strict=True)
        ]
        table.add_row("board has", "", *("" if limit is None else f"{limit:,}" for limit in limits))
        table.add_row("used (!: exceeds)", "", *shares, style="bold")
    return table


def _share(value: float, limit: int | None) -> str:
    if limit is None:
        return ""
    share = f"{value / limit:.1%}"
    return f"[red]{share} ![/red]" if value > limit else share


if __name__ == "__main__":
    sys.exit(command(main, prog=PROG))
