"""The main job, stage by stage; each leaves on disk what the next one, or a later run, needs."""

import fcntl
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from nas import pareto, train
from nas.cost import Hardware, SubnetCost
from nas.data import TrainingData, load_digits
from nas.evaluate import evaluate_subnet
from nas.evolution import Candidate, Evolution, EvolutionConfig, EvolutionState, Score
from nas.export import export
from nas.options import SUPERNETS, Options
from nas.report import Measurement, measure
from nas.space import DIGITS, Arch, Space
from nas.summary import Summary, Winner, versions
from nas.supernet import Supernet, SupernetConfig
from nas.train import TrainConfig
from rtl.errors import ToolError, UserError
from rtl.files import atomic_write
from rtl.model import IntegerModel
from sim import testbench, toolchain

STATE, PREDICTIONS, SUMMARY, PLOT = "search.json", "predictions.json", "summary.json", "pareto.png"
TARGET_QUANTILES = (0.95, 0.5, 0.1)  # of the space's predicted cycles: slowest target first
TARGET_SAMPLES = 60
QUICK_EPOCHS = 1
QUICK_EVERY = 7  # pictures: one in seven
QUICK_EVOLUTION = {"generations": 2, "population": 6}


def run(options: Options) -> Summary:
    """Do the main job.

    Raises
    ------
    UserError
        Before anything long begins, if the options do not fit each other, the board, the run
        folder or what is in it.
    ToolError
        At the end, if any two executors of a winner disagree.
    """
    started = time.monotonic()
    console = Console(stderr=True)
    torch.set_num_threads(options.threads)
    job = Job.prepare(options)
    if options.images:
        toolchain.require()  # not only after all the training
    with locked(job.folder):
        state = job.state()
        if options.images:
            testbench.build_meanwhile(job.hardware.engine)  # on a core that training leaves idle
        net = job.supernet(console)
        evolution = job.search(net, state, console)
        candidates = [evolution.winner(i) for i in range(len(job.targets))]
        models = job.export(net, candidates)
        job.freeze_predictions(candidates, models)
        pareto.plot(
            job.folder / PLOT,
            evolution.candidates(),
            candidates,
            job.targets,
            job.hardware.board.clock_hz,
            f"Digits on board '{job.hardware.board.name}', engine '{job.hardware.engine.name}'",
        )
        measurements = job.measure(net, candidates, models, console)
        summary = Summary(
            seed=options.seed,
            wall_s=round(time.monotonic() - started, 1),
            versions=versions(),
            board=job.hardware.board.name,
            engine=job.hardware.engine.name,
            clock_hz=job.hardware.board.clock_hz,
            candidates=len(state.scores),
            supernet=job.supernet_key,
            winners=tuple(measurement.winner for measurement in measurements),
        )
        summary.save(job.folder / SUMMARY)
    Console().print(table(summary))
    print(f"Wrote {job.folder}: {SUMMARY}, {PLOT}, {len(models)} models (.pulsar)")
    refuse_mismatches(measurements)
    return summary


@dataclass(frozen=True, eq=False)
class Job:
    """What the options mean, and the stages.

    Parameters
    ----------
    options : Options
    hardware : Hardware
    space : Space
    data : TrainingData
        No test picture is in it.
    training : TrainConfig
    evolution : EvolutionConfig
    targets : tuple of float
        Frames per second.
    """

    options: Options
    hardware: Hardware
    space: Space
    data: TrainingData
    training: TrainConfig
    evolution: EvolutionConfig
    targets: tuple[float, ...]

    @classmethod
    def prepare(cls, options: Options) -> "Job":
        """Settle everything that can be settled, or refused, before the long work."""
        hardware = Hardware.load(options.board, options.engine)
        # Row tiles of one width have to be whole tiles of the engine.
        granularity = max(DIGITS.row_granularity, hardware.engine.row_lanes)
        space = replace(DIGITS, row_granularity=granularity)
        targets = options.targets or default_targets(hardware, space)
        require_reachable(targets, hardware, space)
        supernet = SupernetConfig(space=space, act_bits=hardware.engine.act_bits)
        training = TrainConfig(supernet=supernet, seed=options.seed)
        evolution = EvolutionConfig(
            population=options.population, generations=options.generations, seed=options.seed
        )
        data = load_digits()
        if options.quick:
            training = replace(training, float_epochs=QUICK_EPOCHS, quantized_epochs=QUICK_EPOCHS)
            limits = {k: min(v, getattr(evolution, k)) for k, v in QUICK_EVOLUTION.items()}
            evolution, data = replace(evolution, **limits), thinned(data, QUICK_EVERY)
        return cls(options, hardware, space, data, training, evolution, targets)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.options.out / self.options.name

    @cached_property
    def supernet_key(self) -> str:
        """Hash of the supernet's configuration and pictures."""
        return self.training.key(self.data)

    # --- what a former invocation left ------------------------------------------------------

    def state(self) -> EvolutionState:
        """Read what the search knows already; a new state if there is none."""
        path = self.folder / STATE
        if self.options.restart:
            discard(self.folder)
        if not path.exists():
            return EvolutionState(self.identity)
        state = EvolutionState.load(path)
        differing = [
            f"{key} {state.identity.get(key)}, now {value}"
            for key, value in self.identity.items()
            if state.identity.get(key) != value
        ]
        if differing:
            raise UserError(
                f"{self.folder} holds a run with other settings ({'; '.join(differing)}):"
                " choose another --name, or discard it with --restart"
            )
        return state

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that decides what the search finds, as JSON gives it back."""
        archs = {"smallest": self.space.smallest(), "largest": self.space.largest()}
        cost = SubnetCost(self.hardware, self.space)
        return {
            "seed": self.options.seed,
            "threads": self.options.threads,
            "targets": list(self.targets),
            "population": self.evolution.population,
            "generations": self.evolution.generations,
            "board": self.hardware.board.name,
            "clock_hz": self.hardware.board.clock_hz,
            "engine": f"{self.hardware.engine.hash:016x}",
            "supernet": self.supernet_key[:12],
            # The timing model's own version, so to speak.
            "cycles": {name: str(cost(arch)) for name, arch in archs.items()},
        }

    # --- stages -------------------------------------------------------------------------------

    def supernet(self, console: Console) -> Supernet:
        """Train the supernet, or load the one with the same configuration."""
        folder = self.options.out / SUPERNETS
        path = train.train_supernet(self.training, folder, self.data, console=console)
        return train.load_supernet(path)

    def search(self, net: Supernet, state: EvolutionState, console: Console) -> Evolution:
        """Search for every target, saving the state after each generation."""
        limits = [self.hardware.cycle_limit(target) for target in self.targets]
        cost = SubnetCost(self.hardware, self.space, net.order)
        rounds = self.evolution.generations + 1
        with _progress(console) as progress:
            tasks = [
                progress.add_task(f"search, {target:g} fps", total=rounds, detail="")
                for target in self.targets
            ]

            def evaluate(arch: Arch) -> Score:
                result = evaluate_subnet(net, arch, self.data.validation)
                return Score(1 - result.accuracy, float(result.cross_entropy.mean()))

            def after_generation(target: int) -> None:
                state.save(self.folder / STATE)
                show(target)

            def show(target: int) -> None:
                best = evolution.winner(target)
                progress.update(
                    tasks[target],
                    completed=state.generations[target] + 1,
                    detail=f"{100 * (1 - best.score.error):.1f} % in {best.cycles:,} cycles",
                )

            evolution = Evolution(self.space, cost, evaluate, limits, self.evolution, state)
            for target in range(len(state.populations)):
                show(target)
            evolution.run(after_generation)
        return evolution

    def export(self, net: Supernet, winners: Sequence[Candidate]) -> list[IntegerModel]:
        """Write the winners' integer models."""
        models = []
        for target, winner in zip(self.targets, winners, strict=True):
            info = {
                "made_by": "python -m nas.search",
                "seed": self.options.seed,
                "supernet": self.supernet_key,
                "board": self.hardware.board.name,
                "target_fps": target,
                "predicted_cycles": winner.cycles,
                "accuracy_validation": 1 - winner.score.error,
            }
            model = export(
                net,
                winner.arch,
                class_names=self.data.class_names,
                preprocessing=self.data.preprocessing,
                pictures=self.data.validation,
                info=info,
            )
            model.save(self.folder / model_file(target))
            models.append(model)
        return models

    def freeze_predictions(
        self, winners: Sequence[Candidate], models: Sequence[IntegerModel]
    ) -> None:
        """Write the predicted cycles down, before the first simulation."""
        predictions = [
            {
                "target_fps": target,
                "predicted_cycles": winner.cycles,
                "model": model_file(target),
                "model_hash": model.hash,
            }
            for target, winner, model in zip(self.targets, winners, models, strict=True)
        ]
        with atomic_write(self.folder / PREDICTIONS, "w") as file:
            json.dump({"schema": 1, "predictions": predictions}, file, indent=2)

    def measure(
        self,
        net: Supernet,
        winners: Sequence[Candidate],
        models: Sequence[IntegerModel],
        console: Console,
    ) -> list[Measurement]:
        """Measure all winners on the test set and the RTL."""
        measurements = []
        with _progress(console) as progress:
            task = progress.add_task("winners", total=len(winners), detail="")
            for target, winner, model in zip(self.targets, winners, models, strict=True):

                def advance(what: str, target: float = target) -> None:
                    progress.update(task, detail=f"{target:g} fps: {what}")

                measurements.append(
                    measure(
                        net,
                        winner,
                        model,
                        target_fps=target,
                        file=model_file(target),
                        hardware=self.hardware,
                        images=self.options.images,
                        advance=advance,
                    )
                )
                progress.advance(task)
        return measurements


# --- targets ------------------------------------------------------------------------------------


def default_targets(hardware: Hardware, space: Space) -> tuple[float, ...]:
    """Three frame rates, from the predicted cycles of random subnets; two digits each.

    Raises
    ------
    UserError
        If the engine cannot run even the smallest subnet; it names the limit.
    """
    hardware.check(space.shape(space.smallest()))
    rng = np.random.default_rng(0)
    cost = SubnetCost(hardware, space)
    cycles = [cost(space.sample(rng)) for _ in range(TARGET_SAMPLES)]
    cycles = [value for value in cycles if np.isfinite(value)] or [cost(space.smallest())]
    rates = [hardware.frames_per_second(q) for q in np.quantile(cycles, TARGET_QUANTILES)]
    return tuple(dict.fromkeys(_floor_to_two_digits(rate) for rate in rates))


def _floor_to_two_digits(rate: float) -> float:
    unit = 10.0 ** (np.floor(np.log10(rate)) - 1)
    return float(f"{np.floor(rate / unit) * unit:.6g}")


def require_reachable(targets: Sequence[float], hardware: Hardware, space: Space) -> None:
    """Refuse a target that not even the smallest subnet reaches; say what it does reach."""
    smallest = space.smallest()
    shape = space.shape(smallest)
    hardware.check(shape)
    cycles = hardware.cycles(shape)
    for target in targets:
        if cycles > hardware.cycle_limit(target):
            raise UserError(
                f"no subnet reaches {target:g} frames per second on board"
                f" '{hardware.board.name}': the fastest takes {cycles:,} cycles,"
                f" {_floor_to_two_digits(hardware.frames_per_second(cycles)):g} frames per second"
            )


# --- the run's folder ---------------------------------------------------------------------------


def model_file(target_fps: float) -> str:
    """Name of a winner's integer model."""
    return f"winner-{target_fps:g}fps.pulsar"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a run's folder and keep other searches out of it while the block runs.

    Raises
    ------
    UserError
        If it cannot be written, or another search is at work in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise UserError(f"cannot write to run directory {folder}: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another search is at work in {folder}") from None
        yield


def discard(folder: Path) -> None:
    """Delete what a search wrote to its folder, and nothing else."""
    for path in [folder / name for name in (STATE, PREDICTIONS, SUMMARY, PLOT)]:
        path.unlink(missing_ok=True)
    for path in folder.glob(model_file(0).replace("0", "*", 1)):
        path.unlink()


def thinned(data: TrainingData, every: int) -> TrainingData:
    """Every ``every``-th picture; the sets are sorted by class, so all classes stay."""
    parts = {
        name: getattr(data, name).take(np.arange(0, len(getattr(data, name)), every))
        for name in ("train", "validation")
    }
    return replace(data, **parts)


# --- the result ---------------------------------------------------------------------------------


def table(summary: Summary) -> Table:
    """Winners, one a row; fits 80 columns."""
    result = Table(
        title=f"Digits on board '{summary.board}' at {summary.clock_hz / 1e6:g} MHz:"
        f" the best of {summary.candidates} subnets",
        caption="8-bit: mean share of row tiles; accuracy: integer model, 1,000 test pictures, 95 %"
        " interval; minus QAT: paired difference from quantized training mode, points; differ:"
        " values unlike golden's, in PyTorch + on the RTL",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    result.add_column("target\nfps", justify="right")
    result.add_column("network\n8-bit")
    result.add_column("accuracy\n%", justify="right")
    result.add_column("minus\nQAT", justify="right")
    result.add_column("cycles\npredicted", justify="right")
    result.add_column("cycles\nRTL", justify="right")
    result.add_column("fps\nRTL", justify="right")
    result.add_column("images\nRTL", justify="right")
    result.add_column("differ", justify="right")
    for winner in summary.winners:
        result.add_row(*_cells(winner))
    return result


def _cells(winner: Winner) -> tuple[str, ...]:
    low, high = (100 * limit for limit in winner.accuracy_integer_interval)
    cycles, fps = winner.rtl_cycles, winner.rtl_fps
    return (
        f"{winner.target_fps:g}",
        describe(Arch.from_json(winner.arch)),
        f"{100 * winner.accuracy_integer:.1f}\n{low:.1f}..{high:.1f}",
        f"{100 * winner.accuracy_difference:+.1f}",
        f"{winner.predicted_cycles:,}",
        "-" if cycles is None else f"{cycles:,}\n{cycles / winner.predicted_cycles - 1:+.1%}",
        "-" if fps is None else f"{fps:,.0f}",
        f"{winner.rtl_images}",
        f"{winner.golden_mismatches} + {winner.rtl_mismatches}",
    )


def describe(arch: Arch) -> str:
    """Width x depth, and below it the mean fraction of 8-bit tiles."""
    fractions = [value for block in arch.blocks for value in block.wide.values()]
    mean = float(np.mean([arch.embed_wide, arch.head_wide, *fractions]))
    return f"{arch.width} x {arch.depth}\n{mean:.0%}"


def refuse_mismatches(measurements: Sequence[Measurement]) -> None:
    """Fail if any executor disagreed with golden: the numbers above could not be trusted."""
    for measurement in measurements:
        for executor, found in (
            ("PyTorch's integer mode", measurement.golden),
            ("the engine", measurement.rtl),
        ):
            if found.mismatches:
                raise ToolError(
                    f"{executor} differs from golden {found.mismatches} times with"
                    f" {measurement.winner.model}, first in {found.first}"
                )


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=10),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}"),
        console=console,
    )
