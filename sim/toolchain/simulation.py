"""Run a built simulation with cocotb's tests, and read what became of them."""

import logging
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rtl.errors import ToolError

LOG_TAIL_LINES = 30  # of a failed run, that the error shows


class SimulationError(ToolError):
    """A cocotb test failed, or the simulation ended without a result."""


@dataclass(frozen=True)
class TestResult:
    """Outcome of one cocotb test.

    Parameters
    ----------
    name : str
        Module and test, such as ``"tests.benches.dma.reads"``.
    passed, skipped : bool
        A skipped test has not passed.
    """

    __test__ = False  # not a class for pytest to collect

    name: str
    passed: bool
    skipped: bool


@dataclass(frozen=True)
class SimulationResults:
    """All tests of one run, every one of them passed or skipped."""

    tests: tuple[TestResult, ...]
    log: str = field(repr=False)
    """Text that the simulation printed."""


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
    ) -> SimulationResults:
        """Run the cocotb tests of a Python module on this design.

        Parameters
        ----------
        test_module : str
            Importable name, such as ``"sim.benches.network"``.
        testcase : str or sequence of str, optional
            Tests to run; by default all of the module's.
        env : mapping, optional
            Environment variables for the bench: how sizes and file names reach it.
        plusargs : sequence of str
            Such as ``"+latency=100"``.
        seed : int
            Python's random seed in the bench.
        directory : Path, optional
            Folder in which the simulation runs and leaves its files; by default a temporary one.
        log_file : Path, optional
            File of its output; by default ``simulation.log`` in ``directory``.
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
        return SimulationResults(tests or (), log)


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
        )
        for case in cases
    )


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
