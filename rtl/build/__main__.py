"""``python -m rtl.build``: an engine's Verilog, a script for Vivado, and a count of resources."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from string import Template

from rich.console import Console

import boards
from rtl import config
from rtl.board import Board, load_board
from rtl.build.bitstream import TOPS, build_bitstream, require_bitstream, summary
from rtl.build.block_design import block_design
from rtl.build.netlist.fanout import FanOut, fan_outs
from rtl.build.netlist.flat import Graph
from rtl.build.netlist.levels import Levels, measure
from rtl.build.netlist.outputs import Unregistered, unregistered
from rtl.build.overlay import overlay
from rtl.build.synthesis import Utilization, family_of, synthesise
from rtl.build.tables import (
    blocks_line,
    fan_out_table,
    levels_table,
    path_lines,
    resources_table,
)
from rtl.build.verilog import require_yosys, verilog_of
from rtl.build.vivado import PRODUCTS, find_vivado, left_by, not_run, run_script, version_of
from rtl.build.zynq import memory_ports, zynq_verilog
from rtl.cli import BoardName, EngineName, Flag, OptionalPath, command
from rtl.console import print_tables
from rtl.engine import Engine
from rtl.errors import UserError
from rtl.files import atomic_write, require_results, sha256_of
from rtl.lib.devices import is_zynq, kind_of, primitives_of
from rtl.lib.emit import emit_rtlil
from rtl.memory.axi import AxiAttributes
from rtl.resources.room import require_room
from rtl.soc.ulx3s import BLOCK_RAMS

PROG = "python -m rtl.build"
TEMPLATES = Path(boards.__file__).parent / "templates"
SCHEMA = 1
TRACED = 100  # paths in the report
SOURCES = (".v", "_top.v", "_board.tcl")  # of a bitstream
FAN_OUTS = 10  # nets with the most loads, in the table and in the report


@dataclass(frozen=True)
class BuildOptions:
    """Generate the Verilog of an engine for a board, and count its resources.

    Writes pulsar_ENGINE.v, a report (.json) and, for AMD's devices, a Vivado script (.tcl) with
    timing constraints (.xdc) to the output folder; for a Zynq UltraScale+ pulsar_ENGINE_top.v, too:
    the engine as a block for Vivado's block designs. Then it prints a table of the engine's
    resources: by unit, by the largest modules, in total, and next to what the board has. Yosys
    counts them after synthesis for the board's device; no vendor's tool is needed. A design that is
    too large for the board is still written, with exit code 0: the table and a warning say what
    exceeds it.

    A second table counts levels of logic between registers, which limit the clock: LUTs, with a
    carry chain as one. Below it come the longest paths, module by module, and the DSPs and block
    memories that have no register at their outputs. A third table has the ten nets with the most
    loads.

    The same engine gives the same Verilog, byte for byte, on devices with the same primitives. It
    is yours, without conditions.

    A board whose tools are all open (ulx3s) gets pulsar_ENGINE.bit, too: engine, memory on the chip
    and serial bridge, placed and routed by the nextpnr that comes with pip, in half an hour or so.
    If the clock is missed, the exit code is 1. An engine that is too large for that is refused.

    A board with a table [zynq] in its file gets a block design with the processors
    (pulsar_ENGINE_board.tcl) and an overlay of Linux's device tree (.dtso). Where Vivado is on
    PATH, it makes .bit, .hwh and .xsa of the block design, which takes hours; where it is not, a
    line says what was not run.

    Synthesis of the engine alone: cd build && vivado -mode batch -source pulsar_zcu102.tcl
    """

    board: BoardName = "sim"
    """Board: kv260, sim, ulx3s, zcu102, zcu104, or a file."""
    engine: EngineName = None
    out: Path = Path("build")
    """Folder that receives the files; it is made if there is none."""
    json: OptionalPath = None
    """Write the report to this file as well."""
    synthesis: Flag = True
    """Don't count resources, which takes minutes: Verilog alone, in less than one."""
    flatten: Flag = False
    """Dissolve each unit's modules in it before synthesis, as vendors' tools do: fewer LUTs, other
    levels, but no numbers for the modules."""
    bitstream: Flag = True
    """Don't place and route: neither where a board's tools are all open, nor by Vivado. No
    bitstream, no limit of sizes."""
    require_bitstream: Flag = False
    """Fail at once where no bitstream can be made: no Vivado, or no table [zynq] of the board."""
    seed: int = 1
    """Seed of the placer."""
    paths: int = 5
    """How many of the longest paths to print, one for each register; the report has 100 or more."""


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


def main(options: BuildOptions) -> int:
    """Build one engine; 1 if its bitstream missed the clock."""
    if options.paths < 0:
        raise UserError(f"--paths must be at least 0, not {options.paths}")
    board = load_board(options.board)
    engine = config.engine(options.engine or board.engine)
    board = board.with_ports_for(engine.memory_bytes)
    design = f"pulsar_{engine.name}"
    reports = [options.out / f"{design}.json", *([options.json] if options.json else [])]
    script = options.out / f"{design}_board.tcl"
    results = dict.fromkeys([*reports, *_targets(options, board, design)])
    require_results(results, (options.board, options.engine))
    memory_ports(board, engine)  # refuses ports that cannot carry the engine's beats
    require_yosys()
    if options.synthesis:
        family_of(board.device)  # refuses devices whose cells nobody counts
    has_bitstream = options.bitstream and board.name in TOPS
    if has_bitstream:
        require_bitstream(board)
        require_room(board, engine, BLOCK_RAMS)
    vivado = None if has_bitstream else _vivado(board, engine, options)
    watch = Stopwatch()
    with watch.step("elaboration_s", f"Elaborating engine '{engine.name}'"):
        attributes = AxiAttributes(board.memory.axi_cache, board.memory.axi_prot)
        component = Engine(engine, attributes=attributes)
        rtlil = emit_rtlil(component, design, primitives_of(board.device))
    with watch.step("verilog_s", "Writing Verilog"):
        verilog = verilog_of(rtlil, assertions=False)
        files = _write_files(options.out, design, verilog, board, engine)
    report = {
        "schema": SCHEMA,
        "board": board.name,
        "device": board.device,
        "engine": engine.to_json() | {"hash": f"{engine.hash:016x}"},
        "verilog_sha256": sha256_of(verilog),
        "narrow_ports": _problem(board.require_ports, engine.memory_bytes)
        or _problem(board.require_zynq_ports, engine.memory_bytes),
    }
    if options.synthesis:
        with watch.step("synthesis_s", f"Synthesising for {board.device} (Yosys), some minutes"):
            synthesis = synthesise(rtlil, design, board.device, flatten=options.flatten)
        with watch.step("levels_s", "Counting levels of logic"):
            graph = Graph(synthesis.netlist, design)
            levels = measure(graph, max(options.paths, TRACED))
            blocks = unregistered(graph)
            widest = fan_outs(graph)[:FAN_OUTS]
        report |= _counts(synthesis.used, board) | _timing(levels, blocks, widest)
        print_tables(
            resources_table(synthesis.used, board, engine),
            levels_table(levels, design),
            fan_out_table(widest),
        )
        print(*path_lines(levels, options.paths), blocks_line(blocks), sep="\n")
    for problem in (report.get("excess"), report["narrow_ports"]):
        if problem:
            print(f"{PROG}: warning: {problem}", file=sys.stderr)
    _save(report, watch, reports)  # what follows takes long, and may fail
    routed = None
    if has_bitstream:
        target, routed = build_bitstream(board, engine, options.out, options.seed, watch.step)
        files.append(target)
        report["bitstream"] = routed.report()
        print(f"Bitstream: {summary(routed)}")
    if vivado:
        with watch.step("vivado_s", "Block design, place and route (Vivado), hours"):
            files += run_script(vivado, script)
        print(f"Vivado's reports: {options.out / design}_board_*.rpt, for python -m nas.calibrate")
    elif board.zynq:
        print(not_run(script, "no Vivado on PATH" if options.bitstream else "--no-bitstream"))
    elif is_zynq(board.device):
        print(f"No block design and no overlay: {_problem(board.require_zynq)}")
    _save(report, watch, reports)
    times = ", ".join(f"{name[:-2]} {value:g} s" for name, value in watch.seconds.items())
    print(f"Wrote {', '.join(map(str, [*files, *reports]))} ({times})")
    return int(routed is not None and not routed.timing_met)


def _vivado(board: Board, engine: config.EngineConfig, options: BuildOptions) -> Path | None:
    """Find the Vivado to run; refuse before long work what it cannot do."""
    if options.require_bitstream:
        if not options.bitstream:
            raise UserError("--require-bitstream and --no-bitstream exclude each other")
        board.require_zynq()
    if not (board.zynq and options.bitstream):
        return None
    board.require_ports(engine.memory_bytes)
    program = find_vivado()
    if program:
        version_of(program)
    elif options.require_bitstream:
        raise UserError("no Vivado on PATH: source its settings64.sh, or no --require-bitstream")
    return program


def _suffixes(board: Board) -> list[str]:
    """Return how the names of the files end that are written for a board's device."""
    kind = kind_of(board.device)
    return [
        ".v",
        *(["_top.v"] if is_zynq(board.device) else []),
        *([".tcl", ".xdc"] if kind and kind.is_amd else []),
        *(["_board.tcl", ".dtso"] if board.zynq else []),
    ]


def _targets(options: BuildOptions, board: Board, design: str) -> list[Path]:
    """Return all files but the reports that a run may write."""
    suffixes = _suffixes(board)
    if options.bitstream and board.name in TOPS:
        suffixes.append(".bit")
    elif options.bitstream and board.zynq:
        suffixes += ["_board.log", *(f".{suffix}" for suffix in PRODUCTS)]
    return [options.out / f"{design}{suffix}" for suffix in suffixes]


def _save(report: dict, watch: Stopwatch, targets: list[Path]) -> None:
    """Write the report as far as it goes."""
    times = watch.seconds | {"elapsed_s": round(sum(watch.seconds.values()), 1)}
    for target in targets:
        with atomic_write(target, "w") as file:
            json.dump(report | times, file, indent=2)


def _counts(used: Utilization, board: Board) -> dict:
    """Return the resources as part of the report."""
    return asdict(used.total) | {
        "limits": board.limits.model_dump(),
        "excess": _problem(board.require, **asdict(used.total)),
        "units": {name: asdict(unit) for name, unit in used.units.items()},
        "modules": {
            name: {"instances": module.instances} | asdict(module.own)
            for name, module in used.modules.items()
        },
    }


def _problem(check: Callable[..., object], *args: int, **kwargs: int) -> str | None:
    """Return what a check of the board objects to, which is no reason to stop."""
    try:
        check(*args, **kwargs)
    except UserError as error:
        return str(error)
    return None


def _timing(levels: Levels, blocks: Unregistered, widest: list[FanOut]) -> dict:
    """Return the levels of logic, which limit the clock, as part of the report."""
    return {
        "max_lut_levels": levels.levels,
        "max_lut_levels_carry_apart": levels.apart,
        "lut_levels": {name: asdict(unit) for name, unit in levels.units.items()},
        "combinational_through": [asdict(way) for way in levels.through],
        "worst_paths": [asdict(path) for path in levels.paths],
        "without_output_register": asdict(blocks),
        "fan_outs": [asdict(net) for net in widest],
    }


def _write_files(
    out: Path, design: str, verilog: str, board: Board, engine: config.EngineConfig
) -> list[Path]:
    """Write them; what Vivado made of other Verilog is removed, and that is said."""
    values = {
        "design": design,
        "device": board.device,
        "clock_mhz": f"{board.clock_hz / 1e6:g}",
        "period_ns": f"{1e9 / board.clock_hz:.3f}",
    }
    text_of = {
        ".v": lambda: verilog,
        "_top.v": lambda: zynq_verilog(engine, design, memory_ports(board, engine)),
        ".tcl": lambda: Template((TEMPLATES / "vivado.tcl").read_text()).substitute(values),
        ".xdc": lambda: Template((TEMPLATES / "timing.xdc").read_text()).substitute(values),
        "_board.tcl": lambda: block_design(board, engine, design),
        ".dtso": lambda: overlay(board, design),
    }
    texts = {suffix: text_of[suffix]() for suffix in _suffixes(board)}
    sources = {out / f"{design}{suffix}": texts.get(suffix) for suffix in SOURCES}
    stale = left_by(out / f"{design}_board.tcl")
    if stale and any(_content(file) != text for file, text in sources.items()):
        for file in stale:
            file.unlink()
        print(f"Removed, as made of other Verilog: {', '.join(map(str, stale))}")
    files = {out / f"{design}{suffix}": text for suffix, text in texts.items()}
    for target, text in files.items():
        with atomic_write(target, "w") as file:
            file.write(text)
    return list(files)


def _content(file: Path) -> str | None:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else None


if __name__ == "__main__":
    sys.exit(command(main, prog=PROG))
