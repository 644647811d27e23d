"""Folder of a run: the names of its files, its lock, and the state of an earlier invocation."""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nas.search.evolution_state import EvolutionState
from nas.task.task import FolderImages, Task
from rtl.errors import UserError

PREDICTIONS, SUMMARY, PLOT = "predictions.json", "summary.json", "pareto.png"
REPORT = "report.html"
STATE, MORE_STATES = "search.json", "search-{}.json"  # the second: of further widths of activations
ENGINE = "engine.json"
TASK, SPLIT = "task.toml", "split.json"  # of a folder of images
MODEL = "winner-{}fps.pulsar"
TUNED = "finetuned-{}fps.{}"  # what nas.finetune makes of a winner


def model_file(target_fps: float) -> str:
    """Return the file name of a winner's integer model."""
    return MODEL.format(f"{target_fps:g}")


def state_file(index: int) -> str:
    """Return the file name of the search state of the ``index``-th width of activations."""
    return MORE_STATES.format(index + 1) if index else STATE


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder of a run, and keep other commands out of it while the block runs.

    Raises
    ------
    UserError
        If the folder cannot be written, or another run is at work in it.
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
            raise UserError(f"another run is at work in {folder}") from None
        yield


def write_task(task: Task, folder: Path) -> None:
    """Write down what was settled of a folder of images, and which are in which part."""
    if task.record and isinstance(task.origin, FolderImages):
        task.record.save(folder / TASK)
        task.origin.parts.save(folder / SPLIT)


def discard(folder: Path) -> None:
    """Delete the files that a search wrote to its folder and those made of them, nothing else."""
    for name in (STATE, PREDICTIONS, SUMMARY, PLOT, REPORT, ENGINE, TASK, SPLIT):
        (folder / name).unlink(missing_ok=True)
    for pattern in (MODEL, MORE_STATES, TUNED):
        for file in folder.glob(pattern.format("*", "*")):
            file.unlink()


def load_state(path: Path, identity: Mapping[str, Any]) -> EvolutionState:
    """Read the state of a search; a new state if there is none.

    Parameters
    ----------
    path : Path
        File in the folder of the run.
    identity : mapping
        JSON values that decide the result of the search.

    Raises
    ------
    UserError
        If the folder holds a run with another identity or of another version, or a damaged file.
    """
    if not path.exists():
        return EvolutionState(dict(identity))
    state = EvolutionState.load(path)
    differing = [
        f"{key} {state.identity.get(key)}, now {value}"
        for key, value in identity.items()
        if state.identity.get(key) != value
    ]
    if differing:
        raise UserError(
            f"{path.parent} holds a run with other settings ({'; '.join(differing)}):"
            " choose another --name, or discard it with --restart"
        )
    return state
