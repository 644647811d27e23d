"""Build a simulation: Verilator, the C++ compiler, and the cache that spares both."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rtl.errors import ToolError, UserError
from rtl.files import atomic_directory, atomic_write, require_writable, sha256_of
from sim.toolchain.cache import cache_directory, locked
from sim.toolchain.design import Design, Public
from sim.toolchain.simulation import Build
from sim.toolchain.tools import (
    Verilator,
    cocotb_libs,
    cocotb_main,
    compiler_version,
    find_verilator,
)

MAKE_JOBS = 2
LOG_LINES = 30  # of a failed build, that the error shows


class BuildError(ToolError):
    """Verilator or the C++ compiler refused a design."""


def require() -> None:
    """Find out now what would stop a later :func:`build`.

    Raises
    ------
    UserError
        If a tool is missing, or the cache cannot be written.
    """
    find_verilator()
    cache = cache_directory()
    try:
        require_writable(cache / "builds" / "any")
    except OSError as error:
        raise UserError(
            f"cannot write to cache directory {cache} (environment variable PULSAR_CACHE chooses"
            f" another): {error.strerror}"
        ) from None


def build(
    sources: Sequence[Path],
    top: str,
    *,
    public: Public = "top",
    includes: Sequence[Path] = (),
    defines: Mapping[str, object] | None = None,
    parameters: Mapping[str, object] | None = None,
    arguments: Sequence[str] = (),
    trace: bool = False,
    threads: int = 1,
    optimize: str = "-O2",
    cache: Path | None = None,
) -> Build:
    """Compile a design to an executable for cocotb, or find it in the cache.

    Processes that want the same build at the same time wait for the first one. A failed or
    interrupted build leaves nothing behind.

    Parameters
    ----------
    sources : sequence of Path
        Verilog (``.v``, ``.sv``), control files (``.vlt``), and C++ (``.cpp``) with DPI-C
        functions, which may include ``svdpi.h``, ``Vtop__Dpi.h``, and headers beside them.
    top : str
        The top module.
    public : "top" or "all"
        What the bench can see: the top module's ports, or every signal, which keeps Verilator
        from optimizing anything away.
    includes : sequence of Path
        Directories that Verilog's ```include`` searches.
    defines, parameters : mapping, optional
        Preprocessor macros, and parameters of the top module (quote strings for Verilog).
    arguments : sequence of str
        Further Verilator flags, such as ``"-Wno-WIDTHEXPAND"``. Warnings are errors.
    trace : bool
        Make waveforms possible (slower even where none is written).
    threads : int
        Threads that one simulation uses.
    optimize : str
        The C++ compiler's optimization level; lower levels build faster.
    cache : Path, optional
        Default ``$PULSAR_CACHE``, else ``~/.cache/pulsar-vit``.

    Raises
    ------
    UserError
        If a tool is missing.
    BuildError
        If Verilator or the C++ compiler fails; shows the errors.
    """
    verilator = find_verilator()
    design = Design(
        sources=tuple(Path(source).resolve() for source in sources),
        top=top,
        public=public,
        includes=tuple(Path(folder).resolve() for folder in includes),
        defines=tuple((defines or {}).items()),
        parameters=tuple((parameters or {}).items()),
        arguments=tuple(arguments),
        trace=trace,
        threads=threads,
        optimize=optimize,
    )
    cache = cache or cache_directory()
    directory = cache / "builds" / f"{top}-{design.key(verilator)}"
    with locked(directory.with_suffix(".lock")):
        if not directory.is_dir():
            _compile(design, verilator, directory, cache)
    return Build(directory=directory, top=top, trace=trace)


def _compile(design: Design, verilator: Verilator, directory: Path, cache: Path) -> None:
    """Verilate and compile in a scratch directory; keep the executable and the log."""
    with tempfile.TemporaryDirectory(prefix="pulsar-build-") as scratch_name:
        scratch = Path(scratch_name)
        log = scratch / "build.log"
        _step(_verilate_command(design, verilator, scratch), scratch, log, design.top)
        make = [*_make_command(design, verilator), f"VM_TRACE={int(design.trace)}"]
        with _runtime_objects(make, verilator, scratch, cache):
            _step([*make, f"-j{MAKE_JOBS}"], scratch, log, design.top)
        with atomic_directory(directory) as result:
            shutil.copy2(scratch / design.top, result)
            shutil.copy2(log, result)


def _verilate_command(design: Design, verilator: Verilator, scratch: Path) -> list[str]:
    libs = cocotb_libs()
    control = scratch / "public.vlt"
    control.write_text(design.control_file())
    return [
        str(verilator.executable), *design.flags(), "-Mdir", str(scratch),
        "-LDFLAGS", f"-Wl,-rpath,{libs} -L{libs} -lcocotbvpi_verilator",
        *(f"-I{folder}" for folder in design.includes),
        str(control), str(cocotb_main()), *map(str, design.sources),
    ]  # fmt: skip


def _make_command(design: Design, verilator: Verilator) -> list[str]:
    return ["make", "-s", "-f", "Vtop.mk", *design.make_settings(), *verilator.make_settings]


@contextmanager
def _runtime_objects(
    make: list[str], verilator: Verilator, scratch: Path, cache: Path
) -> Iterator[None]:
    """Reuse the objects of Verilator's run-time library: ten of a small design's twelve seconds.

    An object depends on nothing but the compiler's command line, which make tells.
    """
    listing = (scratch / "Vtop_classes.mk").read_text()
    block = re.search(r"^VM_GLOBAL_FAST \+= \\\n((?:\s+\S+ \\\n)*)", listing, re.MULTILINE)
    names = [f"{name}.o" for name in block[1].replace("\\", "").split()] if block else []
    stored = {name: _runtime_object(name, make, verilator, scratch, cache) for name in names}
    for name, file in stored.items():
        if file.is_file():
            shutil.copyfile(file, scratch / name)
    yield
    for name, file in stored.items():
        if not file.is_file():
            with atomic_write(file) as copy:
                copy.write((scratch / name).read_bytes())


def _runtime_object(
    name: str, make: list[str], verilator: Verilator, scratch: Path, cache: Path
) -> Path:
    """Return where the object file ``name`` is kept, by the command that makes it."""
    plan = subprocess.run([*make, "-n", name], cwd=scratch, capture_output=True, text=True)
    key = sha256_of(compiler_version(), verilator.version, plan.stdout)[:24]
    return cache / "runtime" / f"{key}-{name}"


def _step(command: list[str], directory: Path, log: Path, top: str) -> None:
    """Run one command of a build in ``directory``, its output to the end of ``log``."""
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    with log.open("a") as file:
        file.write(f"$ {' '.join(command)}\n")
        file.flush()
        status = subprocess.run(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        ).returncode
    if status != 0:
        raise BuildError(
            f"{Path(command[0]).name} failed on module {top!r} (status {status}):\n"
            f"{_relevant_lines(log.read_text(errors='replace'))}"
        )


def _relevant_lines(text: str) -> str:
    """Return the errors and warnings of a build log with the lines that explain them."""
    lines = text.splitlines()
    telling = [i for i, line in enumerate(lines) if re.search(r"%Error|%Warning|error:", line)]
    first = telling[0] if telling else max(0, len(lines) - LOG_LINES)
    chosen = lines[first : first + LOG_LINES]
    return "\n".join(f"  {line}" for line in chosen)
