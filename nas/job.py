"""The main job, stage by stage; each leaves on disk what the next one, or a later run, needs."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from nas import pareto, run_folder
from nas.checkpoint import load_supernet
from nas.cost import Hardware, SubnetCosts
from nas.data import TrainingData, load_digits, thinned
from nas.evaluate import evaluate_subnet
from nas.evolution import Candidate, Evolution, EvolutionConfig, EvolutionState, Score
from nas.export import export
from nas.options import SUPERNETS, Options
from nas.recipe import TrainConfig
from nas.report import Measurement, measure, refuse_mismatches
from nas.space import DIGITS, Arch, Space
from nas.summary import Summary, versions
from nas.supernet import Supernet, SupernetConfig
from nas.table import winners_table
from nas.targets import default_targets, require_reachable
from nas.train import train_supernet
from rtl.files import atomic_write
from rtl.model import IntegerModel
from sim import testbench
from sim.toolchain import builder

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
        builder.require()  # not only after all the training
    with run_folder.locked(job.folder):
        state = job.state()
        if options.images:
            testbench.build_meanwhile(job.hardware.engine)  # on a core that training leaves idle
        net = job.supernet(console)
        evolution = job.search(net, state, console)
        candidates = [evolution.winner(i) for i in range(len(job.targets))]
        models = job.export(net, candidates)
        job.freeze_predictions(candidates, models)
        pareto.plot(
            job.folder / run_folder.PLOT,
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
        summary.save(job.folder / run_folder.SUMMARY)
    Console().print(winners_table(summary))
    print(
        f"Wrote {job.folder}: {run_folder.SUMMARY}, {run_folder.PLOT},"
        f" {len(models)} models (.pulsar)"
    )
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
        training = TrainConfig(supernet=supernet, seed=options.seed, threads=options.threads)
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

    def state(self) -> EvolutionState:
        """Read what a former invocation found; a new state if there is none."""
        if self.options.restart:
            run_folder.discard(self.folder)
        return run_folder.load_state(self.folder, self.identity)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that decides what the search finds, as JSON gives it back."""
        archs = {"smallest": self.space.smallest(), "largest": self.space.largest()}
        costs = SubnetCosts(self.hardware, self.space)
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
            "cycles": {name: str(costs.exact(arch)) for name, arch in archs.items()},
        }

    # --- stages -------------------------------------------------------------------------------

    def supernet(self, console: Console) -> Supernet:
        """Train the supernet, or load the one with the same configuration."""
        folder = self.options.out / SUPERNETS
        return load_supernet(train_supernet(self.training, folder, self.data, console=console))

    def search(self, net: Supernet, state: EvolutionState, console: Console) -> Evolution:
        """Search for every target, saving the state after each generation."""
        limits = [self.hardware.cycle_limit(target) for target in self.targets]
        costs = SubnetCosts(self.hardware, self.space, net.order)
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
                state.save(self.folder / run_folder.STATE)
                show(target)

            def show(target: int) -> None:
                best = evolution.winner(target)
                progress.update(
                    tasks[target],
                    completed=state.generations[target] + 1,
                    detail=f"{100 * (1 - best.score.error):.1f} % in {best.cycles:,} cycles",
                )

            evolution = Evolution(self.space, costs, evaluate, limits, self.evolution, state)
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
            model.save(self.folder / run_folder.model_file(target))
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
                "model": run_folder.model_file(target),
                "model_hash": model.hash,
            }
            for target, winner, model in zip(self.targets, winners, models, strict=True)
        ]
        with atomic_write(self.folder / run_folder.PREDICTIONS, "w") as file:
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
                        file=run_folder.model_file(target),
                        hardware=self.hardware,
                        images=self.options.images,
                        advance=advance,
                    )
                )
                progress.advance(task)
        return measurements


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
