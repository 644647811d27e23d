"""The stages of ``python -m nas.calibrate``: measure a board's engine, fit, compare."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from timeit import repeat
from typing import Any

import numpy as np
from rich.console import Console

from nas.cost import measurements
from nas.cost.engines import corner_engines, sample_engines
from nas.cost.hardware import HardwareTarget
from nas.cost.kept import KeptResults
from nas.cost.networks import NamedNetwork
from nas.cost.records import SEED_HELD_OUT, HeldOut, LatencyRecord, ResourceRecord
from nas.cost.resource_fit import fit_resources
from nas.cost.subnets import Sample, sample_subnets
from nas.cost.sweep import Measurement, StageClock, run_points, workers
from rtl import config
from rtl.board import Board
from rtl.build.synthesis import family_of as device_family
from rtl.compiler import plan
from rtl.config import EngineConfig
from rtl.console import progress_bars
from rtl.errors import UserError
from rtl.isa.instructions import Unit
from rtl.resources.model import CountedEngine
from sim import testbench

SEED_FIT, SEED_QUICK = 1, 3  # of engines, and of a quick check; never SEED_HELD_OUT's
UNIT_NETWORKS = 3  # whose instructions are compared one by one: the shortest
TIMED = 5  # predictions, of whose times the median counts


@dataclass
class CalibrationRun:
    """Measures a board's default engine, and engines like it; finished measurements are kept.

    Parameters
    ----------
    board : Board
    folder : Path
        Folder of the finished measurements of this board.
    modules : Path
        File of the modules that were synthesised, which boards share.
    workers : int
        Number of processes on this machine.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers measure instead.
    """

    board: Board
    folder: Path
    modules: Path
    workers: int
    scheduler: str | None = None

    def __post_init__(self) -> None:
        self.results = KeptResults(self.folder / "points.txt")
        self.clock = StageClock(self.folder / "seconds.json")
        self.console = Console(stderr=True)

    @property
    def engine(self) -> EngineConfig:
        """The board's default engine."""
        return config.engine(self.board.engine)

    # ------------------------------------------------------------ latency

    def latency(self, count: int) -> LatencyRecord:
        """Measure ``count`` networks on the RTL, and the shortest of them by instruction."""
        held_out = self.networks(count)
        samples = sample_subnets(self.board, self.engine, count, SEED_HELD_OUT)
        shortest = sorted(range(count), key=lambda index: held_out[index].rtl)[:UNIT_NETWORKS]
        units = self.units([samples[index] for index in shortest])
        return LatencyRecord.of(
            self.engine, measurements.verilog_hash(self.engine), units, held_out
        )

    def networks(self, count: int, seed: int = SEED_HELD_OUT) -> list[HeldOut]:
        """Measure ``count`` random networks on the RTL."""
        self._build(tap=False)
        samples = sample_subnets(self.board, self.engine, count, seed)
        points = measurements.rtl_points("network", samples, self.board, self.engine)
        values = self._values("rtl", "networks, RTL", points)
        return [
            HeldOut.of(sample, self.engine, value["cycles"])
            for sample, value in zip(samples, values, strict=True)
        ]

    def units(self, samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
        """Compare the predicted end of each instruction with its last write on the RTL."""
        self._build(tap=True)
        points = measurements.rtl_points("writes", samples, self.board, self.engine)
        late: dict[str, list[float]] = {}
        for sample, last in zip(samples, self._values("units", "units, RTL", points), strict=True):
            program, prediction = sample.predicted(self.engine)
            ends = prediction.ends
            for operation, end, written in zip(program.operations, ends, last, strict=True):
                if operation.unit is not None and written is not None:
                    late.setdefault(Unit(operation.unit).name.lower(), []).append(written - end)
        return {unit: _spread(late[unit]) for unit in sorted(late)}

    def speedup(self, held_out: Sequence[HeldOut]) -> float:
        """Return how many times as fast the timing model is as the simulation.

        On DeiT-S, or on the longest network that was measured where the engine refuses DeiT-S.
        """
        try:
            shape = plan(NamedNetwork("deit_small").shape_on(self.engine), self.engine).shape
            sample = Sample(shape, HardwareTarget(self.board, self.engine).memory)
        except UserError:
            longest = int(np.argmax([row.rtl for row in held_out]))
            sample = sample_subnets(self.board, self.engine, longest + 1, SEED_HELD_OUT)[-1]
        points = measurements.rtl_points("speed", [sample], self.board, self.engine)
        [value] = self._values("speed", "network for speed, RTL", points)
        seconds = repeat(lambda: sample.predicted(self.engine), number=1, repeat=TIMED)
        return round(value["seconds"] / median(seconds), 1)

    # ------------------------------------------------------------ resources

    def resources(self, fit: int, held_out: int) -> ResourceRecord:
        """Fit the resource model to ``fit`` engines, and compare it with ``held_out`` others.

        It is fitted to the smallest and the largest engine, so that none of the others is beyond.
        """
        corners = corner_engines(self.board)
        chosen = corners + sample_engines(self.board, fit - len(corners), SEED_FIT)
        family = device_family(self.board.device)
        model = fit_resources(self.engines("engines to fit", chosen), family)
        others = sample_engines(self.board, held_out, SEED_HELD_OUT)
        return ResourceRecord.of(model, self.engines("held-out engines", others))

    def engines(self, what: str, engines: Sequence[EngineConfig]) -> list[CountedEngine]:
        """Count the resources of engines with Yosys.

        Each engine is elaborated, which shows its modules; those that are known are not
        synthesised again.
        """
        points = measurements.engine_points(self.board, engines, self.modules)
        counted = self._values(what.replace(" ", "_"), f"{what}, Yosys", points, KeptResults())
        return [(e, measurements.utilization(v)) for e, v in zip(engines, counted, strict=True)]

    # ------------------------------------------------------------ how points are measured

    def _values(
        self,
        stage: str,
        what: str,
        points: Sequence[Measurement],
        results: KeptResults | None = None,
    ) -> list[Any]:
        """Return the values of all points, in order, with a progress bar."""
        with (
            self.clock.stage(stage) as note,
            progress_bars(console=self.console) as progress,
            workers(self.workers, self.scheduler) as pool,
        ):
            task = progress.add_task(what, total=len(points))

            def advance(done: int) -> None:
                progress.update(task, completed=done)
                note()

            return run_points(points, results or self.results, pool, advance)

    def _build(self, *, tap: bool) -> None:
        """Build the simulation before several processes want it."""
        what = "with taps" if tap else "without taps"
        with (
            self.clock.stage("build_tap" if tap else "build"),
            self.console.status(f"Building the engine's simulation, {what}: minutes"),
        ):
            testbench.build(self.engine, tap=tap)


def _spread(late: Sequence[float]) -> dict[str, float]:
    """Return the median of cycles, the spread from the 5th to the 95th percentile, the count."""
    low, middle, high = (float(q) for q in np.quantile(late, (0.05, 0.5, 0.95)))
    return {"median": middle, "spread": high - low, "n": float(len(late))}
