"""The beginning of a study; images, and the recipe, of one on the digits."""

from pathlib import Path

import torch
from rich.console import Console

from nas.cost import HardwareTarget
from nas.data import TrainingData, thinned
from nas.digits import DIGITS, load_digits, recipe
from nas.studies.options import StudyOptions
from nas.task.opening import QUICK_EVERY
from nas.training.recipe import TrainConfig
from rtl.files import require_writable


def begin(options: StudyOptions, name: str) -> tuple[Path, Console]:
    """Compute with one thread; return the path of the study's file, and where progress is shown.

    Raises
    ------
    UserError
        If the folder cannot be written.
    """
    torch.set_num_threads(1)
    path = options.out / f"{name}.json"
    require_writable(path)
    return path, Console(stderr=True)


def study_data(options: StudyOptions) -> TrainingData:
    """Load the digits of split 0; few of them where a command is only tried."""
    data = load_digits()
    return thinned(data, QUICK_EVERY) if options.quick else data


def study_recipe(options: StudyOptions, hardware: HardwareTarget, seed: int) -> TrainConfig:
    """Return the recipe of the main job; an epoch of each stage where a command is only tried."""
    space = DIGITS.tiled(hardware.engine.row_lanes)
    config = recipe(space, act_bits=hardware.engine.act_bits, seed=seed)
    return config.shortened() if options.quick else config
