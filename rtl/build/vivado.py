"""Vivado, where it is on PATH: its version, and a script run to its end. Not run by us."""

import re
import shutil
import subprocess
from pathlib import Path

from rtl.errors import ToolError, UserError

PROGRAM = "vivado"
FIRST, LAST = (2022, 1), (2025, 2)
"""Releases that the scripts are written for, by their documentation (UG835)."""
PRODUCTS = ("bit", "hwh", "xsa")


def find_vivado() -> Path | None:
    """Return the path of Vivado, None where it is not on PATH."""
    found = shutil.which(PROGRAM)
    return Path(found) if found else None


def version_of(program: Path) -> str:
    """Return the release of a Vivado, such as ``"2024.1"``.

    Raises
    ------
    UserError
        If it does not tell, or is none that the scripts are written for.
    """
    remedy = "run the script by hand, and add --no-bitstream here"
    try:
        said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise UserError(f"{program}: {error.strerror}: {remedy}") from None
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


def run_script(program: Path, script: Path) -> None:
    """Run a script in its own folder; the log lies beside it.

    Raises
    ------
    ToolError
        If Vivado fails, or leaves no bitstream: the log's first error in a line.
    """
    script = script.resolve()
    log = script.with_suffix(".log")
    arguments = ["-mode", "batch", "-nojournal", "-log", log, "-source", script]
    ended = subprocess.run(
        [program, *arguments], cwd=script.parent, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        said = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ended.stdout
        raise ToolError(f"Vivado: {first_error(said + ended.stderr)} ({log})")


def first_error(log: str) -> str:
    """Return the first line of a log that is an error, or its last one."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines[-1:] or ["it failed without a word"])[0]


def not_run(script: Path, why: str) -> str:
    """Say in a line what was not run, and what is missing because of it."""
    files = ", ".join(script.name.replace("_board.tcl", f".{suffix}") for suffix in PRODUCTS)
    return (
        f"Not run ({why}): vivado -mode batch -source {script}. So there is no {files}, and clock,"
        " resources and power after place and route are not known."
    )


def _text(release: tuple[int, int]) -> str:
    return f"{release[0]}.{release[1]}"
