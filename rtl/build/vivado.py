"""Vivado, where it is on PATH: its version, and a script run to its end. Not run by us."""

import glob
import re
import shutil
import signal
import subprocess
from itertools import pairwise
from pathlib import Path

from rtl.build.child import run_child
from rtl.errors import ToolError, UserError

PROGRAM = "vivado"
FIRST, LAST = (2022, 1), (2025, 2)
"""Releases that the scripts are written for, by their documentation (UG835)."""
PRODUCTS = ("bit", "hwh", "xsa")
VERSION_S = 60.0  # in which it must have told its version


def find_vivado() -> Path | None:
    """Return the path of Vivado, None where it is not on PATH."""
    found = shutil.which(PROGRAM)
    return Path(found).absolute() if found else None  # scripts run in a folder of their own


def version_of(program: Path) -> str:
    """Return the release of a Vivado, such as ``"2024.1"``.

    Raises
    ------
    UserError
        If it does not tell, or is none that the scripts are written for.
    """
    remedy = "run the script by hand, and add --no-bitstream here"
    try:
        said = run_child([program, "-version"], limit_s=VERSION_S)
    except OSError as error:
        raise UserError(f"{program}: {error.strerror}: {remedy}") from None
    except subprocess.TimeoutExpired:
        raise UserError(f"{program} -version took more than {VERSION_S:g} s: {remedy}") from None
    found = re.search(r"vivado v(\d{4})\.(\d)", said.stdout, re.IGNORECASE)
    if not found:
        first = (said.stdout or said.stderr).strip().partition("\n")[0]
        raise UserError(f"{program} says {first!r}, which is no known version: {remedy}")
    release = int(found[1]), int(found[2])
    if not FIRST <= release <= LAST:
        raise UserError(
            f"{program} is version {_text(release)}, not one from {_text(FIRST)} to {_text(LAST)}:"
            f" {remedy}"
        )
    return _text(release)


def products_of(script: Path) -> list[Path]:
    """Return the paths of what a board's script makes: bitstream, description, platform."""
    name = script.name.removesuffix("_board.tcl")
    return [script.with_name(f"{name}.{suffix}") for suffix in PRODUCTS]


def left_by(script: Path) -> list[Path]:
    """Return the files that a run of a board's script has left: products, and reports."""
    reports = script.parent.glob(f"{glob.escape(script.stem)}_*.rpt")
    return [*filter(Path.is_file, products_of(script)), *sorted(reports)]


def run_script(program: Path, script: Path) -> list[Path]:
    """Run a script in its own folder, and return its products; the log lies beside it.

    What an earlier run left is removed first, so that nothing is taken for this one's.

    Raises
    ------
    ToolError
        If Vivado fails (says why in a line), or leaves no bitstream.
    """
    folder, log = script.parent.resolve(), script.resolve().with_suffix(".log")
    for file in (log, *left_by(script)):
        file.unlink(missing_ok=True)
    words = [program, "-mode", "batch", "-nojournal", "-log", log.name, "-source", script.name]
    ended = run_child(words, folder=folder)
    if not log.is_file():
        log.write_text(ended.stdout + ended.stderr, encoding="utf-8")
    if ended.returncode:
        said = log.read_text(encoding="utf-8", errors="replace") + ended.stderr
        raise ToolError(f"Vivado: {reason(said, ended.returncode)} ({log})")
    missing = ", ".join(file.name for file in products_of(script) if not file.is_file())
    if missing:
        raise ToolError(f"Vivado: it ended without an error, and without {missing} ({log})")
    return products_of(script)


def reason(log: str, code: int) -> str:
    """Say in a line why Vivado failed: a signal, the log's first error, what Tcl says, or its end.

    A shell's exit code is 128 more than the number of a signal.
    """
    signals = {each.value: each.name for each in signal.Signals}
    name = signals.get(-code if code < 0 else code - 128)
    if name:
        return f"ended by {name}" + (": is there enough memory?" if name == "SIGKILL" else "")
    error = _first_error(log)
    if "critical warnings" in error:
        ids = dict.fromkeys(re.findall(r"^CRITICAL WARNING: \[(.+?)\]", log, re.MULTILINE))
        error += f": {', '.join(ids)}" if ids else ""
    return error


def _first_error(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    of_tcl = [line for line, after in pairwise(lines) if after == "while executing"]
    others = [line for line in lines if not line.startswith("INFO")]
    return (errors or of_tcl or others[-1:] or ["it failed without a word"])[0]


def not_run(script: Path, why: str) -> str:
    """Say in a line what was not run, and what is missing because of it."""
    products = products_of(script)
    names = ", ".join(file.name for file in products)
    said = f"Not run ({why}): vivado -mode batch -source {script}. "
    if all(file.is_file() for file in products):
        return f"{said}The {names} there are of an earlier run, of the same Verilog."
    return (
        f"{said}So there is no {names}, and clock, resources and power after place and route are"
        " not known."
    )


def _text(release: tuple[int, int]) -> str:
    return f"{release[0]}.{release[1]}"
