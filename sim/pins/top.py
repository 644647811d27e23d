"""A board's whole top, from its RTL: Verilog, and the executable of its simulation."""

from pathlib import Path

from rtl.board import Board
from rtl.build.bitstream import TOPS
from rtl.build.verilog import emit_verilog, hostile_memories
from rtl.config import EngineConfig
from rtl.errors import UserError
from rtl.files import atomic_write
from rtl.lib.devices import primitives_of
from rtl.timing.fingerprint import source_hash
from sim import testbench
from sim.netlist.build import LENIENT
from sim.netlist.cells import OWN
from sim.toolchain import builder
from sim.toolchain.cache import cache_directory, locked
from sim.toolchain.simulation import Build

ROOT = Path(__file__).parents[2]
COMMANDS = {"board", "cli.py", "console.py", "errors.py", "files.py"}
SOFTWARE = testbench.SOFTWARE - {"soc"} | COMMANDS
"""Rooms and files of rtl that no top comes from; of rtl.build only the emitter counts."""
SHARED = ("frames.py", "registers.py")
"""Files of boards/host/ whose numbers the RTL has, too."""


def build_top(board: Board, engine: EngineConfig) -> Build:
    """Compile a board's top with an empty memory, or find the executable in the cache.

    Its ports are the board's pins. Emitting takes half a minute, compiling some minutes.

    Raises
    ------
    UserError
        If the board has no top module, or a tool is missing.
    ToolError
        If a tool fails.
    """
    require_top(board)
    builder.require()
    verilog = generate_top(board, engine)
    return builder.build([OWN, verilog], verilog.stem, arguments=LENIENT, optimize="-O1")


def require_top(board: Board) -> None:
    """Raise a UserError if there is no top module for a board."""
    if board.name not in TOPS:
        raise UserError(f"board {board.name!r} has no pins here: choose {', '.join(TOPS)}")


def generate_top(board: Board, engine: EngineConfig) -> Path:
    """Emit the Verilog of a board's top, or find it in the cache."""
    hostile = hostile_memories()
    kind = "-hostile" if hostile else ""
    folder = cache_directory() / "verilog" / f"{board.name}-{engine.hash:016x}{kind}-{rtl_hash()}"
    path = folder / f"pulsar_{engine.name}.v"
    with locked(folder.with_suffix(".lock")):
        if not path.is_file():
            top = TOPS[board.name].component(engine, ())
            with atomic_write(path, "w") as target:
                primitives = primitives_of(board.device)
                target.write(emit_verilog(top, path.stem, primitives, hostile=hostile))
    return path


def rtl_hash() -> str:
    """Hash of the source that a top's Verilog comes from: 16 digits, without comments."""
    rtl, host = ROOT / "rtl", ROOT / "boards" / "host"
    files = [file for file in sorted(rtl.rglob("*.py")) if _is_hardware(file.relative_to(rtl))]
    return source_hash([*files, *(host / name for name in SHARED)])


def _is_hardware(file: Path) -> bool:
    emits = file.parts[0] != "build" or file.name == "verilog.py"
    return emits and file.parts[0] not in SOFTWARE
