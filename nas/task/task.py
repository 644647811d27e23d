"""A task: what a search is about; that of the digits."""

from dataclasses import dataclass, replace

from nas.data import TrainingData
from nas.digits import DIGITS, load_digits, recipe
from nas.space import Space
from nas.task.parts import Parts
from nas.task.pixels import Look
from nas.task.record import TaskRecord
from nas.training.recipe import TrainConfig


@dataclass(frozen=True, eq=False)
class FolderImages:
    """Images of a folder, as a network takes them.

    Parameters
    ----------
    parts : Parts
    look : Look
    workers : int
        Processes that read ahead.
    """

    parts: Parts
    look: Look
    workers: int = 0


@dataclass(frozen=True, eq=False)
class Task:
    """Images to train and search with, a space, a recipe; where the test images are.

    Parameters
    ----------
    space : Space
    data : TrainingData
        No test image is in it.
    recipe : TrainConfig
        Training, but for what an engine and the options decide.
    origin : int or FolderImages
        Split of the digits, or a folder; :func:`nas.testset.load_test` reads test images there.
    test_images : int
        How many there are.
    record : TaskRecord, optional
        What a run writes down; None of the digits, which no file describes.
    """

    space: Space
    data: TrainingData
    recipe: TrainConfig
    origin: int | FolderImages
    test_images: int
    record: TaskRecord | None = None

    def config(self, space: Space, *, act_bits: int, seed: int, threads: int) -> TrainConfig:
        """Return the configuration of a training run; ``space`` may have other row tiles."""
        supernet = replace(self.recipe.supernet, space=space, act_bits=act_bits)
        return replace(self.recipe, supernet=supernet, seed=seed, threads=threads)


DIGIT_TEST_IMAGES = 1000


def digits_task(split: int = 0, space: Space = DIGITS) -> Task:
    """Return the task of the main job, on one of the digits' splits, in one of their spaces.

    Raises
    ------
    UserError
        If the digits cannot be read.
    """
    return Task(space, load_digits(split), recipe(space), split, DIGIT_TEST_IMAGES)
