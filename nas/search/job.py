"""The main job, stage by stage; each leaves on disk what the next one, or a later run, needs."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from nas.cost import HardwareTarget, SubnetCosts
from nas.cost.calibration import power_model
from nas.cost.estimate import reservations
from nas.cost.sources import source_hashes
from nas.data import TrainingData, load_digits, thinned
from nas.search import pareto, run_folder
from nas.search.candidate_engines import Lineup, lineups_of
from nas.search.evolution import Candidate, Evolution, EvolutionConfig, Goal
from nas.search.evolution_state import EvolutionState, Score
from nas.search.options import FREE, SUPERNETS, Options
from nas.search.report import Measurement, measure, refuse_mismatches
from nas.search.summary import Summary, versions
from nas.search.table import engine_lines, winners_table, work_table
from nas.space import DIGITS, NATURAL_ORDER, Arch, Space, TileOrder
from nas.supernet.export import export
from nas.supernet.supernet import Supernet, SupernetConfig
from nas.training.checkpoint import load_supernet
from nas.training.evaluate import evaluate_subnet
from nas.training.recipe import TrainConfig
from nas.training.train import train_supernet
from rtl.board import load_board
from rtl.console import DETAIL, progress_bars
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
    if options.images:
        builder.require()  # not only after all the training
    jobs = Job.prepare(options, console)
    folder = jobs[0].folder
    with run_folder.locked(folder):
        if options.restart:
            run_folder.discard(folder)
        states = [job.state() for job in jobs]
        for reservation in jobs[0].reservations_on(jobs[0].hardware):
            console.print(f"warning: {reservation}")
        if options.images and options.engine != FREE:
            testbench.build_meanwhile(jobs[0].hardware.engine)  # on a core that training leaves
        outcomes = [
            outcome
            for job, state in zip(jobs, states, strict=True)
            for outcome in job.outcomes(state, console)
        ]
        best = min(outcomes, key=lambda outcome: outcome.rank)
        job, winners = best.job, best.winners
        job.write_engine(best.hardware)
        models = job.export(best.net, winners)
        job.freeze_predictions(winners, models)
        pareto.plot(
            folder / run_folder.PLOT,
            best.candidates,
            winners,
            job.targets,
            best.hardware.board.clock_hz,
            f"Digits on board '{best.hardware.board.name}', engine '{best.hardware.engine.name}'",
            options.objectives,
        )
        measurements = job.measure(best, models, console)
        summary = Summary(
            seed=options.seed,
            wall_s=round(time.monotonic() - started, 1),
            versions=versions(),
            **job.lineup.report(best.hardware),
            objectives=options.objectives,
            tolerance=options.tolerance,
            reservations=tuple(job.reservations_on(best.hardware)),
            candidates=sum(len(state.scores) for state in states),
            supernet=job.supernet_key,
            winners=tuple(measurement.winner for measurement in measurements),
        )
        summary.save(folder / run_folder.SUMMARY)
    Console().print(winners_table(summary))
    if set(options.objectives) != {"cycles"}:
        Console().print(work_table(summary))
    print(*engine_lines(summary), sep="\n", end="\n" if summary.free else "")
    print(
        f"Wrote {folder}: {run_folder.SUMMARY}, {run_folder.PLOT}, {run_folder.ENGINE},"
        f" {len(models)} models (.pulsar)"
    )
    refuse_mismatches(measurements)
    return summary


@dataclass(frozen=True, eq=False)
class Job:
    """What the options mean for one width of activations, and the stages.

    Parameters
    ----------
    options : Options
    index : int
        Of the width of activations, among those of the run.
    lineup : Lineup
        Engines of this width, and the space.
    data : TrainingData
        No test picture is in it.
    training : TrainConfig
    evolution : EvolutionConfig
    targets : tuple of float
        Frames per second.
    """

    options: Options
    index: int
    lineup: Lineup
    data: TrainingData
    training: TrainConfig
    evolution: EvolutionConfig
    targets: tuple[float, ...]

    @classmethod
    def prepare(cls, options: Options, console: Console) -> tuple["Job", ...]:
        """Settle everything that can be settled, or refused, before the long work."""
        if "energy_joules" in options.objectives:
            power_model(load_board(options.board))
        lineups, targets = lineups_of(options, DIGITS, console)
        evolution = EvolutionConfig(
            population=options.population,
            generations=options.generations,
            seed=options.seed,
            tolerance=options.tolerance / 100,
        )
        data = load_digits()
        if options.quick:
            limits = {k: min(v, getattr(evolution, k)) for k, v in QUICK_EVOLUTION.items()}
            evolution, data = replace(evolution, **limits), thinned(data, QUICK_EVERY)
        return tuple(
            cls(options, index, lineup, data, _training(options, lineup), evolution, targets)
            for index, lineup in enumerate(lineups)
        )

    @property
    def hardware(self) -> HardwareTarget:
        """The engine that is predicted to be the fastest."""
        return self.lineup.engines[0]

    @property
    def space(self) -> Space:
        return self.lineup.space

    def reservations_on(self, hardware: HardwareTarget) -> list[str]:
        """What to know of the predictions for all subnets, from the smallest to the largest."""
        ends = self.space.smallest(), self.space.largest()
        return reservations(hardware, *map(self.space.shape, ends))

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.options.out / self.options.name

    @property
    def state_file(self) -> str:
        return run_folder.state_file(self.index)

    @cached_property
    def supernet_key(self) -> str:
        """Hash of the supernet's configuration and pictures."""
        return self.training.key(self.data)

    def state(self) -> EvolutionState:
        """Read what a former invocation found; a new state if there is none."""
        return run_folder.load_state(self.folder, self.identity, self.state_file)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that decides what the search finds, as JSON gives it back."""
        archs = {"smallest": self.space.smallest(), "largest": self.space.largest()}
        costs = [self.costs(hardware) for hardware in self.lineup.engines]
        return {
            "seed": self.options.seed,
            "threads": self.options.threads,
            "targets": list(self.targets),
            "population": self.evolution.population,
            "generations": self.evolution.generations,
            "objectives": " ".join(self.options.objectives),
            "board": self.hardware.board.name,
            "clock_hz": self.hardware.board.clock_hz,
            "engine": " ".join(f"{each.engine.hash:016x}" for each in self.lineup.engines),
            "supernet": self.supernet_key[:12],
            "costs": source_hashes()["model"],
            # The timing model's own version, so to speak.
            "cycles": {
                name: " ".join(str(each.exact(arch)) for each in costs)
                for name, arch in archs.items()
            },
        }

    def costs(self, hardware: HardwareTarget, order: TileOrder = NATURAL_ORDER) -> SubnetCosts:
        """What the space's subnets cost on one of the engines."""
        return SubnetCosts(hardware, self.space, order, self.options.objectives)

    # --- stages -------------------------------------------------------------------------------

    def supernet(self, console: Console) -> Supernet:
        """Train the supernet, or load the one with the same configuration."""
        folder = self.options.out / SUPERNETS
        return load_supernet(train_supernet(self.training, folder, self.data, console=console))

    def outcomes(self, state: EvolutionState, console: Console) -> list["Outcome"]:
        """Train, search with each engine, and gather what each of them comes to."""
        net = self.supernet(console)
        evolution, count = self.search(net, state, console), len(self.targets)
        return [
            Outcome(
                self,
                net,
                hardware,
                evolution.candidates(first),
                [evolution.winner(first + target) for target in range(count)],
            )
            for first, hardware in zip(
                range(0, len(evolution.goals), count), self.lineup.engines, strict=True
            )
        ]

    def goals(self, net: Supernet) -> list[Goal]:
        """Every target with every engine, engine by engine."""
        return [
            Goal(costs, hardware.cycle_limit(target))
            for hardware in self.lineup.engines
            for costs in [self.costs(hardware, net.order)]
            for target in self.targets
        ]

    def search(self, net: Supernet, state: EvolutionState, console: Console) -> Evolution:
        """Search for every goal, saving the state after each generation."""
        rounds = self.evolution.generations + 1
        with progress_bars(DETAIL, console=console) as progress:
            tasks = [
                progress.add_task(f"search, {target:g} fps{name}", total=rounds, detail="")
                for name in self.lineup.labels
                for target in self.targets
            ]

            def evaluate(arch: Arch) -> Score:
                result = evaluate_subnet(net, arch, self.data.validation)
                return Score(1 - result.accuracy, float(result.cross_entropy.mean()))

            def after_generation(goal: int) -> None:
                state.save(self.folder / self.state_file)
                show(goal)

            def show(goal: int) -> None:
                best = evolution.winner(goal)
                progress.update(
                    tasks[goal],
                    completed=state.generations[goal] + 1,
                    detail=f"{100 * (1 - best.score.error):.1f} % in {best.cycles:,} cycles",
                )

            evolution = Evolution(self.space, self.goals(net), evaluate, self.evolution, state)
            for goal in range(len(state.populations)):
                show(goal)
            evolution.run(after_generation)
        return evolution

    def write_engine(self, hardware: HardwareTarget) -> None:
        """Write the engine's sizes, as ``--engine`` takes them."""
        with atomic_write(self.folder / run_folder.ENGINE, "w") as file:
            json.dump(asdict(hardware.engine), file, indent=2)

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
        self, outcome: "Outcome", models: Sequence[IntegerModel], console: Console
    ) -> list[Measurement]:
        """Measure all winners on the test set and the RTL."""
        measurements, winners = [], outcome.winners
        with progress_bars(DETAIL, console=console) as progress:
            task = progress.add_task("winners", total=len(winners), detail="")
            for target, winner, model in zip(self.targets, winners, models, strict=True):

                def advance(what: str, target: float = target) -> None:
                    progress.update(task, detail=f"{target:g} fps: {what}")

                measurements.append(
                    measure(
                        outcome.net,
                        winner,
                        model,
                        target_fps=target,
                        file=run_folder.model_file(target),
                        hardware=outcome.hardware,
                        images=self.options.images,
                        advance=advance,
                    )
                )
                progress.advance(task)
        return measurements


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a search came to on one engine.

    Parameters
    ----------
    job : Job
    net : Supernet
    hardware : HardwareTarget
    candidates : list of Candidate
        All subnets that were evaluated, with this engine's cycles.
    winners : list of Candidate
        In the order of the targets.
    """

    job: Job
    net: Supernet
    hardware: HardwareTarget
    candidates: list[Candidate]
    winners: list[Candidate]

    @property
    def rank(self) -> tuple[float, float, float]:
        """Lower is better: the winners' errors; among equals their cycles, then resources."""
        errors = np.mean([winner.score.error for winner in self.winners])
        cycles = np.log([winner.cycles for winner in self.winners]).mean()
        return float(errors), float(cycles), self.job.lineup.share(self.hardware)


def _training(options: Options, lineup: Lineup) -> TrainConfig:
    supernet = SupernetConfig(space=lineup.space, act_bits=lineup.act_bits)
    training = TrainConfig(supernet=supernet, seed=options.seed, threads=options.threads)
    if options.quick:
        return replace(training, float_epochs=QUICK_EPOCHS, quantized_epochs=QUICK_EPOCHS)
    return training
