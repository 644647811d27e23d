"""``python -m rtl.build``: an engine's Verilog, the files a vendor's tool needs, its resources."""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template

from rich.console import Console
from rich.table import Table

import boards
from rtl import config
from rtl.cli import command
from rtl.emit import emit_rtlil, verilog_of
from rtl.engine import Engine
from rtl.files import atomic_write, sha256_of
from rtl.synthesis import Utilization, utilization

TEMPLATES = Path(boards.__file__).parent / "templates"
SCHEMA = 1


@dataclass(frozen=True)
class Options:
    """Generate the Verilog of an engine for a board, and count its resources.

    Writes the Verilog, a Vivado script, timing constraints and a JSON report to the output
    folder. The resources are counted by Yosys after synthesis for the board's device; no vendor's
    tool is needed. Generated Verilog is yours, without conditions.
    """

    board: str = "sim"
    """Board, by name or path of a .toml file."""
    engine: str | None = None
    """Engine to build instead of the board's default: tiny, ulx3s or zcu102."""
    out: Path = Path("build")
    """Folder that receives the files."""
    json: Path | None = None
    """Also write the resource report to this file."""
    synthesis: bool = True
    """Count resources; about a minute for a large engine. Without: Verilog alone."""


def main(options: Options) -> None:
    """Build one engine."""
    board = boards.load(options.board)
    engine = config.engine(options.engine or board.engine)
    console = Console(stderr=True)
    started = time.monotonic()
    design = f"pulsar_{engine.name}"
    with console.status(f"Elaborating engine '{engine.name}'"):
        rtlil = emit_rtlil(Engine(engine), design)
    with console.status("Writing Verilog"):
        verilog = verilog_of(rtlil)
        files = _write_files(options.out, design, verilog, board)
    report = {
        "schema": SCHEMA,
        "board": board.name,
        "engine": asdict(engine) | {"hash": f"{engine.hash:016x}"},
        "verilog_sha256": sha256_of(verilog),
    }
    if options.synthesis:
        with console.status(f"Synthesising for {board.device} (Yosys)"):
            used = utilization(rtlil, design, board.device)
        report |= used.total | {"modules": used.modules}
        Console().print(_table(used, board, engine))
    report["elapsed_s"] = round(time.monotonic() - started, 1)
    for target in filter(None, (options.out / f"{design}.json", options.json)):
        with atomic_write(target, "w") as file:
            json.dump(report, file, indent=2)
    Console().print(f"Wrote {', '.join(str(file) for file in files)}")
    if options.synthesis:
        board.require(**used.total)


def _write_files(out: Path, design: str, verilog: str, board: boards.Board) -> list[Path]:
    values = {
        "design": design,
        "device": board.device,
        "clock_mhz": f"{board.clock_hz / 1e6:g}",
        "period_ns": f"{1e9 / board.clock_hz:.3f}",
    }
    texts = {
        f"{design}.v": verilog,
        f"{design}.tcl": Template((TEMPLATES / "vivado.tcl").read_text()).substitute(values),
        f"{design}.xdc": Template((TEMPLATES / "timing.xdc").read_text()).substitute(values),
    }
    for name, text in texts.items():
        with atomic_write(out / name, "w") as file:
            file.write(text)
    return [out / name for name in texts]


def _table(used: Utilization, board: boards.Board, engine: config.EngineConfig) -> Table:
    """Resources by module, largest first, with the board's limits below."""
    table = Table(title=f"Engine {engine.name} on {board.name} ({board.device}), by Yosys")
    table.add_column("module")
    table.add_column("instances", justify="right")
    names = ("dsp", "lut", "ff", "bram36")
    for name in names:
        table.add_column(name, justify="right")
    modules = sorted(used.modules.items(), key=lambda item: -item[1][0] * item[1][1]["lut"])
    for module, (count, own) in modules[:20]:
        table.add_row(module, f"{count:,}", *(f"{count * own[name]:,.0f}" for name in names))
    table.add_section()
    table.add_row("total", "", *(f"{used.total[name]:,.0f}" for name in names), style="bold")
    limits = (getattr(board.limits, name) for name in names)
    table.add_row("limit", "", *("" if limit is None else f"{limit:,}" for limit in limits))
    return table


if __name__ == "__main__":
    sys.exit(command(main, prog="python -m rtl.build"))
