"""Rows of the published table: the network quantized in several ways, each in a process of its own.

A process of its own, so that its time and its memory are those of ``python -m nas.quantize``.
"""

import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.cost import HardwareTarget
from nas.importer import load
from nas.importer.selection import keeping
from nas.quantize.images import load_images
from nas.quantize.job import quantize
from nas.quantize.method import NAIVE, Method
from rtl.console import progress_bars
from rtl.files import atomic_write

BOARD = "zcu102"


@dataclass(frozen=True)
class Row:
    """A way to quantize the network.

    Parameters
    ----------
    name : str
    weights : str
        ``8``, ``4`` or ``mixed``.
    cycles : int, optional
        Most cycles per image, for ``mixed``.
    engine : str
    method : Method, optional
        Without one, what :func:`nas.quantize.job.quantize` finds best.
    keep : str, optional
        Patches that stay, as :func:`rtl.model.keep.parse_keep` takes it.
    """

    name: str
    weights: str = "8"
    cycles: int | None = None
    engine: str = BOARD
    method: Method | None = None
    keep: str | None = None


A8 = "zcu102_a8"
HALF, QUARTER = 1_140_000, 984_000
"""Cycles in which about half, and about a quarter, of the rows have 8 bits."""
W8A6 = Row("w8a6")
TABLE = (
    Row("w8a8", engine=A8),
    W8A6,
    Row("half", "mixed", HALF),
    Row("quarter", "mixed", QUARTER),
    Row("w4a6", "4"),
)
BASELINES = (Row("w8a8_naive", engine=A8, method=NAIVE), Row("w4a6_naive", "4", method=NAIVE))
CHANCES = range(3)
"""Seeds of rows like ``half`` whose tiles are taken by chance."""


@dataclass(frozen=True)
class Cost:
    """Cost of making a row, and of running it.

    Parameters
    ----------
    model : str
        Hash of the integer model.
    cycles : int
        Exact cycles per image.
    seconds : float
        From the start of the import to the written file.
    peak_bytes : int
        Most memory of the process.
    """

    model: str
    cycles: int
    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class RowJob:
    """A row to make.

    Parameters
    ----------
    row : Row
    source : str
        The float network, as :func:`nas.importer.load` takes it.
    options : dict
        Options of the import.
    images : sequence of Path
        Calibration images.
    out : Path
        Model file to write; what follows the tokens is written beside it.
    board : str
    """

    row: Row
    source: str
    options: dict[str, Any]
    images: Sequence[Path]
    out: Path
    board: str = BOARD

    def run(self) -> Cost:
        """Quantize in a fresh process, which shows its own progress."""
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            return pool.submit(self.here).result()

    def here(self) -> Cost:
        """Quantize in this process."""
        started = time.monotonic()
        hardware = HardwareTarget.load(self.board, self.row.engine)
        with progress_bars() as bars:
            task = bars.add_task(f"{self.row.name}: import", total=None)

            def show(what: str, step: int, steps: int) -> None:
                name = f"{self.row.name}: {what}"
                bars.update(task, description=name, completed=step, total=steps)

            network = load(self.source, **self.options)
            if self.row.keep is not None:
                network = keeping(network, self.row.keep)
            host_file = self.out.with_suffix(".host.onnx")
            images = load_images(list(self.images), network.preprocessing, network.image)
            result = quantize(
                network,
                images,
                hardware,
                weights=self.row.weights,
                cycles=self.row.cycles,
                method=self.row.method,
                work_folder=self.out.with_suffix(".work"),
                host_file=host_file.name if network.host else "",
                progress=show,
            )
        if network.host:
            with atomic_write(host_file) as file:
                file.write(network.host)
        result.model.save(self.out)
        seconds = time.monotonic() - started
        return Cost(result.model.hash, result.cycles, round(seconds, 1), peak_bytes())


def peak_bytes() -> int:
    """Return the most memory that this process has had at a time.

    ``getrusage`` would include that of the process which started this one.
    """
    status = Path("/proc/self/status").read_text()
    kilobytes = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return 1024 * int(kilobytes.split()[1])
