"""A finished search, read back from its folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from rich.console import Console

from nas.cost import HardwareTarget
from nas.data import TrainingData, thinned
from nas.search import run_folder
from nas.search.summary import Summary, Winner
from nas.task.folder import folder_task
from nas.task.opening import QUICK_EVERY
from nas.task.options import SUPERNETS
from nas.task.record import TaskRecord
from nas.task.task import Task, digits_task
from nas.training.checkpoint import read_checkpoint
from nas.training.recipe import TrainConfig, key_of
from rtl.errors import UserError
from rtl.model import IntegerModel

FEWEST = 2  # images that networks are compared on


@dataclass(frozen=True, eq=False)
class FinishedSearch:
    """Folder of a finished search: what it left there.

    Parameters
    ----------
    folder : Path
    summary : Summary
    task : Task
    data : TrainingData
        Images that the supernet was trained with; no test image.
    recipe : TrainConfig
        That of the supernet.
    supernet : Path
        Its checkpoint.
    hardware : HardwareTarget
    """

    folder: Path
    summary: Summary
    task: Task
    data: TrainingData
    recipe: TrainConfig
    supernet: Path
    hardware: HardwareTarget

    @classmethod
    def open(
        cls, folder: Path, console: Console, *, workers: int = 0, skip_unreadable: bool = False
    ) -> "FinishedSearch":
        """Read a search and its images.

        Raises
        ------
        UserError
            If there is none, it is not finished or of another version, its supernet is gone, or
            its images are other ones now.
        """
        summary = load_summary(folder)
        supernet = folder.parent / SUPERNETS / f"supernet-{summary.supernet[:12]}.pt"
        state = read_checkpoint(supernet)
        if not state["finished"]:
            raise UserError(f"{supernet}: training is not finished: give the search's command")
        recipe = TypeAdapter(TrainConfig).validate_python(state["config"])
        hardware = HardwareTarget.load(summary.board, str(folder / run_folder.ENGINE))
        if summary.task.split is not None:
            task = digits_task(summary.task.split)
        else:
            record = without_networks(TaskRecord.load(folder / run_folder.TASK))
            task = folder_task(record, console, workers=workers, skip_unreadable=skip_unreadable)
        data = _same_images(folder, task, state["config"], summary.supernet)
        require_enough(folder, len(data.validation), task.test_images)
        return cls(folder, summary, task, data, recipe, supernet, hardware)

    def winners(self, target: float | None) -> list[Winner]:
        """Return all winners, or that of a frame rate.

        Raises
        ------
        UserError
            If the search had no such frame rate: names those that it had.
        """
        rates = {f"{each.target_fps:g}": each for each in self.summary.winners}
        if target is None:
            return [*rates.values()]
        if f"{target:g}" not in rates:
            raise UserError(
                f"{self.folder} has no winner of {target:g} frames per second: --target is one of"
                f" {', '.join(rates)}"
            )
        return [rates[f"{target:g}"]]

    def model(self, winner: Winner) -> IntegerModel:
        """Read the integer model of a winner.

        Raises
        ------
        UserError
            If it is not the one that the search wrote.
        """
        model = IntegerModel.load(self.folder / winner.model)
        if model.hash != winner.model_hash:
            raise UserError(f"{self.folder / winner.model} is not the model that the search wrote")
        return model


def load_summary(folder: Path) -> Summary:
    """Read the summary of a finished search.

    Raises
    ------
    UserError
        If there is no run, it is not finished, or another version wrote it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of a search")
    path = folder / run_folder.SUMMARY
    if not path.is_file():
        begun = (folder / run_folder.STATE).exists()
        reason = "the search is not finished: give its command again" if begun else "no search"
        raise UserError(f"{folder}: no {run_folder.SUMMARY} in it: {reason}")
    return Summary.load(path)


def require_enough(folder: Path, validation: int, test: int) -> None:
    """Check that there are images to compare networks on; ``UserError`` says of which too few."""
    for part, count in (("validation", validation), ("test", test)):
        if count < FEWEST:
            raise UserError(
                f"{folder}: {count} {part} image, too few to compare two networks on: at least"
                f" {FEWEST}"
            )


def without_networks(record: TaskRecord) -> TaskRecord:
    """Drop the networks of a task's recipe, which the supernet's own recipe names as well."""
    plain = {"start": None, "teacher": None, "float_epochs": 1}
    recipe = record.recipe.model_copy(update=plain)
    return record.model_copy(update={"recipe": recipe})


def _same_images(folder: Path, task: Task, config: dict[str, Any], key: str) -> TrainingData:
    """Return a task's images, or those of a quick run, that a supernet was trained with."""
    for data in (task.data, thinned(task.data, QUICK_EVERY)):
        if key_of(config, data) == key:
            return data
    raise UserError(f"{folder}: its images are other ones than those that it was trained with")
