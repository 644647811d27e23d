"""Build a simulation: Verilator, the C++ compiler, and the cache that spares both."""

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rtl.errors import UserError
from rtl.files import atomic_directory, atomic_write, require_space, require_writable
from sim.toolchain.cache import cache_directory, locked
from sim.toolchain.design import SimulatedDesign
from sim.toolchain.simulation import Build
from sim.toolchain.tools import Verilator, cocotb_libs, find_verilator
from sim.toolchain.workshop import LIBS, Workshop

MAKE_JOBS = 2
# What a build leaves in the cache, and what it needs while it lasts: 160 for engine TINY.
CACHE_MEGABYTES, SCRATCH_MEGABYTES = 50, 500


def require() -> None:
    """Check before long work that a later :func:`build` can run.

    Raises
    ------
    UserError
        If a tool is missing, or if the cache or the folder for temporary files cannot be written
        or is nearly full.
    """
    find_verilator()
    cache, temporary = cache_directory(), Path(tempfile.gettempdir())
    for folder, file, megabytes, what, variable in (
        (cache, "builds/any", CACHE_MEGABYTES, "cache", "PULSAR_CACHE"),
        (temporary, "pulsar-any", SCRATCH_MEGABYTES, "temporary", "TMPDIR"),
    ):
        try:
            require_writable(folder / file)
            require_space(folder, megabytes)
        except OSError as error:
            raise UserError(
                f"cannot write to {what} directory {folder}"
                f" (environment variable {variable} chooses another): {error.strerror}"
            ) from None


def build(
    sources: Sequence[Path],
    top: str,
    *,
    arguments: Sequence[str] = (),
    trace: bool = False,
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
    arguments : sequence of str
        Further Verilator flags, such as ``"-Wno-WIDTHEXPAND"``. Warnings are errors.
    trace : bool
        Make waveforms possible (slower even where none is written).
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
    design = SimulatedDesign(
        sources=tuple(Path(source).resolve() for source in sources),
        top=top,
        arguments=tuple(arguments),
        trace=trace,
        optimize=optimize,
    )
    cache = cache or cache_directory()
    directory = cache / "builds" / f"{top}-{design.key(verilator)}"
    with locked(directory.with_suffix(".lock")):
        if not directory.is_dir():
            _compile(design, verilator, directory, cache)
    return Build(directory=directory, top=top, trace=trace)


def _compile(design: SimulatedDesign, verilator: Verilator, directory: Path, cache: Path) -> None:
    """Verilate and compile in a scratch directory; keep the executable and the log."""
    with tempfile.TemporaryDirectory(prefix="pulsar-build-") as scratch:
        workshop = Workshop(Path(scratch), design, verilator)
        workshop.run("verilator", workshop.verilate_command())
        make = workshop.make_command()
        with _runtime_objects(make, workshop, cache):
            workshop.run("make", [*make, f"-j{MAKE_JOBS}"])
        with atomic_directory(directory) as result:
            shutil.copy2(workshop.folder / design.top, result)
            shutil.copy2(workshop.log, result)
            (result / LIBS).symlink_to(cocotb_libs())  # where the executable looks for them


@contextmanager
def _runtime_objects(make: list[str], workshop: Workshop, cache: Path) -> Iterator[None]:
    """Reuse the objects of Verilator's run-time library: ten of a small design's twelve seconds.

    An object depends on nothing but the compiler's command line, which make tells.
    """
    listing = (workshop.folder / "Vtop_classes.mk").read_text()
    block = re.search(r"^VM_GLOBAL_FAST \+= \\\n((?:\s+\S+ \\\n)*)", listing, re.MULTILINE)
    names = [f"{name}.o" for name in block[1].replace("\\", "").split()] if block else []
    stored = {name: cache / "runtime" / f"{workshop.key(make, name)}-{name}" for name in names}
    for name, file in stored.items():
        if file.is_file():
            shutil.copyfile(file, workshop.folder / name)
    yield
    for name, file in stored.items():
        if not file.is_file():
            with atomic_write(file) as copy:
                copy.write((workshop.folder / name).read_bytes())
