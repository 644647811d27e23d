"""Setup of a run: the options, resolved to engines, images, a recipe and frame rates."""

from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from nas.cost import ExactCosts, HardwareTarget, SubnetCosts
from nas.cost.calibration import power_model
from nas.cost.estimate import caveats
from nas.cost.sweep import workers
from nas.data import ImageSet, TrainingData, read, spread
from nas.numerics.device import usable_device
from nas.search import run_folder
from nas.search.band import Band
from nas.search.candidate_engines import CandidateEngines, candidate_engines
from nas.search.evolution import EvolutionConfig
from nas.search.evolution_state import EvolutionState
from nas.search.options import SearchOptions
from nas.search.summary import TaskFigures
from nas.space import NATURAL_ORDER, Space, TileOrder
from nas.task.opening import open_task
from nas.task.task import Task
from nas.training.processes import require_alone
from nas.training.recipe import TrainConfig
from rtl.board import load_board
from rtl.errors import UserError
from rtl.timing.fingerprint import fingerprint

MOST_IMAGES = 5000
"""Images that compare candidates: one standard error of an accuracy of 80 % is 0.6 points, that of
a difference between two similar subnets less."""
QUICK_EVOLUTION = {"generations": 2, "population": 6}


@dataclass(frozen=True, eq=False)
class SearchSetup:
    """Everything that is settled before the long work, for one width of activations.

    Parameters
    ----------
    options : SearchOptions
    index : int
        Place of this width of activations among those of the run.
    candidates : CandidateEngines
        Engines of this width, and the space of subnets.
    task : Task
    training : TrainConfig
    evolution : EvolutionConfig
    targets : tuple of float
        Frame rates to reach, in frames per second.
    costs : ExactCosts
    device : torch.device
        Device that trains and evaluates.
    """

    options: SearchOptions
    index: int
    candidates: CandidateEngines
    task: Task
    training: TrainConfig
    evolution: EvolutionConfig
    targets: tuple[float, ...]
    costs: ExactCosts
    device: torch.device

    @property
    def engines(self) -> tuple[HardwareTarget, ...]:
        """Engines to search for; the one that is predicted to be the fastest comes first."""
        return self.candidates.engines

    @property
    def space(self) -> Space:
        return self.candidates.space

    @property
    def data(self) -> TrainingData:
        """Images to train and search with; no test image."""
        return self.task.data

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        return self.options.folder

    @property
    def supernets(self) -> Path:
        """Folder of the trained supernets of all runs."""
        return self.options.supernets

    @property
    def state_path(self) -> Path:
        """File with the state of the search."""
        return self.folder / run_folder.state_file(self.index)

    @property
    def stages(self) -> int:
        """Number of stages of the search for a target: generations, random draws, ranking."""
        return self.evolution.generations + 3

    @cached_property
    def searching(self) -> ImageSet:
        """Images that select in each generation: those for validation and half of the training's.

        Of training images every second one is taken, as it is; training distorts them in each step.
        Of many, :data:`MOST_IMAGES` are taken, evenly spread over the classes: they are evaluated
        hundreds of times, so they are kept in memory.
        """
        train, validation = self.data.train, self.data.validation
        validation = validation.take(spread(len(validation), MOST_IMAGES))
        half = np.arange(0, len(train), 2)
        half = train.take(half[spread(len(half), MOST_IMAGES - len(validation))])
        return ImageSet(
            torch.cat([validation.pixels, half.pixels]),
            torch.cat([validation.labels, half.labels]),
        )

    @cached_property
    def reranking(self) -> ImageSet:
        """Images that choose the winner from the short list, and that no generation saw.

        They are of the other half of the training images, :data:`MOST_IMAGES` at most.
        """
        half = np.arange(1, len(self.data.train), 2)
        return read(self.data.train.take(half[spread(len(half), MOST_IMAGES)]))

    @cached_property
    def supernet_key(self) -> str:
        """Hash of the recipe of the supernet, images included."""
        return self.training.key(self.data)

    def load_state(self) -> EvolutionState:
        """Read the state that an earlier invocation left; a new one if there is none."""
        return run_folder.load_state(self.state_path, self.identity)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """JSON values that decide what the search finds."""
        ends = [self.space.smallest(), self.space.largest()]
        cycles = [
            [cost.cycles for cost in self.subnet_costs(hardware).of(ends)]
            for hardware in self.engines
        ]
        return {
            "seed": self.options.seed,
            "threads": self.options.threads,
            "targets": list(self.targets),
            "population": self.evolution.population,
            "generations": self.evolution.generations,
            "objectives": " ".join(self.options.objectives),
            "board": self.engines[0].board.name,
            "clock_hz": self.engines[0].board.clock_hz,
            "engine": " ".join(f"{each.engine.hash:016x}" for each in self.engines),
            "supernet": self.supernet_key[:12],
            "timing model": fingerprint(),
            "cycles of smallest and largest": cycles,
        }

    @property
    def task_figures(self) -> TaskFigures:
        """Figures of the images, for the summary."""
        task, space = self.task, self.space
        return TaskFigures(
            folder=task.record and task.record.data.folder,
            split=task.origin if isinstance(task.origin, int) else None,
            image=space.image,
            patch=space.patch,
            classes=space.classes,
            train_images=len(self.data.train),
            validation_images=len(self.data.validation),
            test_images=task.test_images,
        )

    def subnet_costs(
        self, hardware: HardwareTarget, order: TileOrder = NATURAL_ORDER
    ) -> SubnetCosts:
        """Costs of the subnets of the space on one of the engines."""
        return SubnetCosts(hardware, self.space, self.costs, order, self.options.objectives)

    def bands(self, order: TileOrder) -> list[Band]:
        """Combine every engine with every frame rate, engine by engine."""
        narrow = self.options.objectives == ("cycles",)
        return [
            Band(self.space, costs, hardware.cycle_limit(target), narrow)
            for hardware in self.engines
            for costs in [self.subnet_costs(hardware, order)]
            for target in self.targets
        ]

    def caveats(self, hardware: HardwareTarget) -> list[str]:
        """Say what limits the trust in predictions on an engine, for all subnets."""
        ends = self.space.smallest(), self.space.largest()
        return caveats(hardware, *map(self.space.shape, ends))


def prepare(options: SearchOptions, costs: ExactCosts, console: Console) -> tuple[SearchSetup, ...]:
    """Settle, or refuse, everything that can be before the long work; a setup for each width.

    Raises
    ------
    UserError
        If an option is wrong, or the board cannot do what is asked for.
    """
    if "energy_joules" in options.objectives:
        power_model(load_board(options.board))
    require_alone("start torchrun -m nas.train, then this without torchrun")
    device = usable_device(options.device, torch.float64)
    task = open_task(options, console)
    _require_test_images(options, task)
    candidates, targets = candidate_engines(options, task.space, costs, console)
    evolution = EvolutionConfig(
        population=options.population,
        generations=options.generations,
        seed=options.seed,
    )
    if options.quick:
        limits = {
            name: min(most, getattr(evolution, name)) for name, most in QUICK_EVOLUTION.items()
        }
        evolution = replace(evolution, **limits)
    recipes = [_recipe(options, task, each) for each in candidates]
    return tuple(
        SearchSetup(options, index, each, task, recipe, evolution, targets, costs, device)
        for index, (each, recipe) in enumerate(zip(candidates, recipes, strict=True))
    )


def _recipe(options: SearchOptions, task: Task, candidates: CandidateEngines) -> TrainConfig:
    return task.config(
        candidates.space,
        act_bits=candidates.act_bits,
        seed=options.seed,
        threads=options.threads,
    )


def _require_test_images(options: SearchOptions, task: Task) -> None:
    """Check that there are as many test images as the RTL is to run."""
    if options.images > task.test_images:
        raise UserError(
            f"--images must be from 0 to {task.test_images}, the number of test images, not"
            f" {options.images}"
        )


def cost_workers(options: SearchOptions) -> AbstractContextManager[Executor | None]:
    """Start the workers that compute costs; None where this process computes them itself."""
    alone = options.workers == 1 and options.scheduler is None
    return nullcontext() if alone else workers(options.workers, options.scheduler)
