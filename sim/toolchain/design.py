"""A design as Verilator builds it: sources, flags, and the key under which a build is kept."""

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from rtl.files import sha256_of
from sim.toolchain.tools import Verilator, cocotb_libs, compiler_version

HEADER_SUFFIXES = {".h", ".hpp"}


@dataclass(frozen=True)
class SimulatedDesign:
    """Everything that decides what the simulation's executable is.

    Parameters are those of :func:`sim.toolchain.builder.build`, paths absolute.
    """

    sources: tuple[Path, ...]
    top: str
    arguments: tuple[str, ...]
    trace: bool
    optimize: str

    def flags(self) -> list[str]:
        """Return Verilator's flags, without the files and without what depends on a directory."""
        return [
            *("-cc", "--exe", "--vpi", "-O3"),
            *("--top-module", self.top, "--prefix", "Vtop", "-o", self.top),
            *(["--trace"] if self.trace else []),
            *self.arguments,
        ]

    def control_file(self) -> str:
        """Return settings that show the bench the top module's ports; more would be slower."""
        return f'`verilator_config\npublic_flat_rw -module "{self.top}" -port "*"\n'

    def make_settings(self) -> list[str]:
        """Return the variables of Verilator's makefile."""
        return ["CXX=g++", f"OPT_FAST={self.optimize}", "OPT_GLOBAL=-O2"]

    def key(self, verilator: Verilator) -> str:
        """Return the hash under which the build is cached: 24 hexadecimal digits."""
        beside_cpp = {file.parent for file in self.sources if file.suffix == ".cpp"}
        headers = [
            file
            for folder in sorted(beside_cpp)
            for file in sorted(folder.iterdir())
            if file.suffix in HEADER_SUFFIXES
        ]
        return sha256_of(
            compiler_version(),
            verilator.version,
            str(verilator.executable),
            str(cocotb_libs()),
            importlib.metadata.version("cocotb"),
            *self.flags(),
            self.control_file(),
            *self.make_settings(),
            *verilator.make_settings,
            *self.sources,
            *headers,
        )[:24]
