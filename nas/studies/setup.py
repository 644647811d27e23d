"""Images, and the recipe, of a study on the digits."""

from nas.cost import HardwareTarget
from nas.data import TrainingData, thinned
from nas.digits import DIGITS, load_digits, recipe
from nas.studies.options import StudyOptions
from nas.task.opening import QUICK_EVERY
from nas.training.recipe import TrainConfig


def study_data(options: StudyOptions) -> TrainingData:
    """Load the digits of split 0; few of them where a command is only tried."""
    data = load_digits()
    return thinned(data, QUICK_EVERY) if options.quick else data


def study_recipe(options: StudyOptions, hardware: HardwareTarget, seed: int) -> TrainConfig:
    """Return the recipe of the main job; an epoch of each stage where a command is only tried."""
    space = DIGITS.tiled(hardware.engine.row_lanes)
    config = recipe(space, act_bits=hardware.engine.act_bits, seed=seed)
    return config.shortened() if options.quick else config
