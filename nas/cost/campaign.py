"""A board's measurements, stage by stage: what ``python -m nas.calibrate`` does."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console

from nas.cost import measurements
from nas.cost.calibration import (
    Errors,
    ResourceErrors,
    ResourceRecord,
    sizes_in_ranges,
)
from nas.cost.clock import Clock
from nas.cost.engines import corner_engines, sample_engines
from nas.cost.hardware import HardwareTarget
from nas.cost.latency import LatencyModel, Memories
from nas.cost.networks import Networks
from nas.cost.plain import shape_for
from nas.cost.subnets import LARGE, Sample, family_of, sample_subnets
from nas.cost.sweep import Point, Results, run_points, workers
from nas.space import DIGITS, Space
from rtl import config
from rtl.board import Board
from rtl.build.synthesis import family_of as device_family
from rtl.compiler import plan
from rtl.config import EngineConfig
from rtl.console import progress_bars
from rtl.errors import UserError
from rtl.resources.model import CountedEngine, ResourceModel
from rtl.timing import MemoryTiming
from rtl.timing.latencies import unit_latencies
from sim import testbench

SEED_FIT, SEED_HELD_OUT, SEED_QUICK = 1, 4, 3  # of networks and engines: never the same ones
EXACT_NETWORKS = 320  # that the vectorised model's coefficients are fitted to
UNIT_NETWORKS = 3  # whose instructions are compared one by one
SPEED_BATCH, SPEED_TIMES = 4096, 5  # candidates whose prediction is timed, and how often
SPEED_SPACE = Space(
    image=(224, 224, 3), patch=16, classes=1000, head_dim=64, widths=(192, 256, 320, 384),
    depths=(10, 11, 12), heads=(3, 4, 5, 6), mlp_ratios=(3, 3.5, 4), row_granularity=32,
)  # fmt: skip
"""Subnets of DeiT-S's kind."""


@dataclass(frozen=True)
class Pool:
    """Who measures.

    Parameters
    ----------
    workers : int
        Processes on this machine.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers measure instead.
    """

    workers: int
    scheduler: str | None = None


@dataclass
class Campaign:
    """Measures a board's default engine, and engines like it; every finished point is kept.

    Parameters
    ----------
    board : Board
    folder : Path
        Of the finished points.
    pool : Pool
    """

    board: Board
    folder: Path
    pool: Pool

    def __post_init__(self) -> None:
        self.results = Results(self.folder / "points.jsonl")
        self.clock = Clock(self.folder / "seconds.json")
        self.console = Console(stderr=True)

    @property
    def engine(self) -> EngineConfig:
        """The board's default engine."""
        return config.engine(self.board.engine)

    # ------------------------------------------------------------ latency

    def fit_latency(self) -> tuple[LatencyModel, dict[str, tuple[float, float]]]:
        """Fit the vectorised model to the exact one; the model and the ranges that it saw."""
        samples = sample_subnets(self.board, self.engine, EXACT_NETWORKS, SEED_FIT)
        points = measurements.exact_points(samples, self.engine)
        exact = Measured.of(samples, self._values("exact", "networks, timing model", points))
        with self.clock.stage("fit"):
            model = LatencyModel(self.engine, unit_latencies(self.engine))
            fitted = model.fitted(exact.networks, exact.memories, exact.cycles)
        return fitted, _ranges(samples)

    def networks(self, count: int, seed: int = SEED_HELD_OUT) -> "Measured":
        """Random networks on the RTL."""
        self._build(tap=False)
        samples = sample_subnets(self.board, self.engine, count, seed)
        points = measurements.network_points(samples, self.board, self.engine)
        return Measured.of(samples, self._values("rtl", "networks, RTL", points))

    def units(self) -> dict[str, dict[str, float]]:
        """Micro-benchmarks: cycles from an instruction's predicted end to its last write."""
        self._build(tap=True)
        samples = sorted(
            sample_subnets(self.board, self.engine, EXACT_NETWORKS, SEED_FIT),
            key=lambda s: (s.shape.width * len(s.shape.blocks), s.shape.tokens),
        )[:UNIT_NETWORKS]
        points = measurements.unit_points(samples, self.board, self.engine)
        values = self._values("units", "instructions, RTL", points)
        result = {}
        for unit in sorted({name for value in values for name in value}):
            late = np.concatenate([value.get(unit, []) for value in values])
            low, median, high = (float(q) for q in np.quantile(late, (0.05, 0.5, 0.95)))
            result[unit] = {"median": median, "spread": high - low, "n": float(len(late))}
        return result

    def speedup(self, rtl: "Measured") -> float:
        """How many times as fast the exact model is as the simulation, alone on the machine.

        On DeiT-S, or on the longest network where the engine does not run that.
        """
        try:
            shape = plan(shape_for("deit_small", self.engine), self.engine).shape
            sample = Sample(shape, HardwareTarget(self.board, self.engine).memory)
        except UserError:
            sample = rtl.samples[int(rtl.cycles.argmax())]
        points = measurements.speed_points([sample], self.board, self.engine)
        [value] = self._values("speed", "network for speed, RTL", points)
        return round(value["rtl_seconds"] / value["model_seconds"], 1)

    # ------------------------------------------------------------ resources

    def engines(self, what: str, engines: Sequence[EngineConfig]) -> list[CountedEngine]:
        """Engines through Yosys."""
        points = measurements.engine_points(self.board, engines, self.folder / "modules")
        values = self._values(what.replace(" ", "_"), f"{what}, Yosys", points)
        return [(e, measurements.utilization(v)) for e, v in zip(engines, values, strict=True)]

    def resources(self, fit: int, held_out: int) -> ResourceRecord:
        """Fit the resource model to some engines, and hold it against random others.

        It is fitted to the smallest and the largest one, so that none of its kind is beyond.
        """
        corners = corner_engines(self.board)
        chosen = corners + sample_engines(self.board, fit - len(corners), SEED_FIT)
        family = device_family(self.board.device)
        model = ResourceModel.fit(self.engines("engines to fit", chosen), family)
        random = sample_engines(self.board, held_out, SEED_HELD_OUT)
        others = self.engines("held-out engines", random)
        rows = [
            {
                "engine": asdict(engine),
                "yosys": asdict(used.total),
                "predicted": asdict(model.predict(engine)),
            }
            for engine, used in others
        ]
        errors = ResourceErrors.of(model, others)
        return ResourceRecord(model=model.to_json(), errors=errors, held_out=rows)

    # ------------------------------------------------------------ how points are measured

    def _values(self, stage: str, what: str, points: Sequence[Point]) -> list[Any]:
        """Values of all points, in order, with a progress bar."""
        with (
            self.clock.stage(stage) as note,
            progress_bars(console=self.console) as progress,
            workers(self.pool.workers, self.pool.scheduler) as pool,
        ):
            task = progress.add_task(what, total=len(points))

            def advance(done: int) -> None:
                progress.update(task, completed=done)
                note()

            return run_points(points, self.results, pool, advance)

    def _build(self, *, tap: bool) -> None:
        """Build the simulation before several processes want it."""
        what = "with taps" if tap else "without taps"
        with (
            self.clock.stage("build_tap" if tap else "build"),
            self.console.status(f"Building the engine's simulation, {what}: minutes"),
        ):
            testbench.build(self.engine, tap=tap)


@dataclass(frozen=True)
class Measured:
    """Networks with cycles.

    Parameters
    ----------
    samples : sequence of Sample
    cycles, seconds : (n,) float
        Of an image; that its measurement took.
    """

    samples: Sequence[Sample]
    cycles: np.ndarray
    seconds: np.ndarray

    @classmethod
    def of(cls, samples: Sequence[Sample], values: Sequence[dict]) -> "Measured":
        """From the values of the points."""
        cycles, seconds = ([value[name] for value in values] for name in ("cycles", "seconds"))
        return cls(samples, np.array(cycles, float), np.array(seconds, float))

    @property
    def networks(self) -> Networks:
        return Networks.of_shapes([sample.shape for sample in self.samples])

    @property
    def memories(self) -> Memories:
        return Memories.of(*(sample.memory for sample in self.samples))


def against_rtl(
    model: LatencyModel, rtl: Measured
) -> tuple[list[dict[str, Any]], dict[str, Errors]]:
    """Both models on networks that were measured on the RTL: a row for each, and the errors."""
    vectorised = model.cycles(rtl.networks, rtl.memories)
    exact = np.array(
        [measurements.predict_exactly(sample, model.engine)["cycles"] for sample in rtl.samples],
        float,
    )
    rows = [
        sizes_in_ranges(sample.shape, sample.memory)
        | {"rtl": int(measured), "exact": int(first), "vectorised": round(float(second))}
        for sample, measured, first, second in zip(
            rtl.samples, rtl.cycles, exact, vectorised, strict=True
        )
    ]
    errors = {
        "exact": Errors.of(exact, rtl.cycles),
        "vectorised": Errors.of(vectorised, rtl.cycles),
    }
    return rows, errors


def _ranges(samples: Sequence[Sample]) -> dict[str, tuple[float, float]]:
    sizes = [sizes_in_ranges(sample.shape, sample.memory) for sample in samples]
    return {
        name: (min(each[name] for each in sizes), max(each[name] for each in sizes))
        for name in sizes[0]
    }


def candidates_per_second(model: LatencyModel) -> float:
    """From genes to cycles, on one core, for subnets of DeiT-S's kind or of the digits'."""
    space = SPEED_SPACE if family_of(model.engine) is LARGE else DIGITS
    rng, choices = np.random.default_rng(0), space.gene_choices
    genes = rng.integers(0, choices, (SPEED_BATCH, len(choices)))
    memory = Memories.of(MemoryTiming())
    seconds = []
    for _ in range(SPEED_TIMES):
        started = time.perf_counter()
        model.cycles(Networks.of_genes(space, genes), memory)
        seconds.append(time.perf_counter() - started)
    return round(SPEED_BATCH / median(seconds))
