"""The task that options name."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rich.console import Console

from nas.data import thinned
from nas.digits import CLASS_NAMES, SPACES
from nas.task.folder import folder_task, record_of
from nas.task.networks import with_start, with_teacher
from nas.task.options import TaskOptions
from nas.task.record import NetworkRecord, RecipeRecord, TaskRecord
from nas.task.sizes import parsed
from nas.task.task import Task, digits_task
from nas.training.recipe import TrainConfig
from nas.warm.source import NetworkSource

QUICK_EVERY = 15  # one image in fifteen


def open_task(
    options: TaskOptions, console: Console, changes: Mapping[str, Any] | None = None
) -> Task:
    """Read the images that the options name: the digits, or a folder's.

    Parameters
    ----------
    options : TaskOptions
    console : Console
        Terminal of the progress bar.
    changes : mapping, optional
        Fields of the recipe, with the values to put in the place of the record's.

    Raises
    ------
    UserError
        If they cannot be used.
    """
    if options.of_digits:
        task = digits_task(options.split, SPACES[options.digits_space])
        task = replace(task, recipe=_with_networks(task.recipe, options, console))
    else:
        task = folder_task(
            _record(options, changes or {}),
            console,
            workers=options.workers if options.workers > 1 else 0,
            skip_unreadable=options.skip_unreadable,
        )
    if options.quick:
        data = thinned(task.data, QUICK_EVERY)
        task = replace(task, data=data, recipe=task.recipe.shortened())
    return task


def _record(options: TaskOptions, changes: Mapping[str, Any]) -> TaskRecord:
    if options.task:
        record = TaskRecord.load(options.task)
    else:
        assert options.data is not None
        record = record_of(options.data, options.space, options.image_size, options.patch)
    given: dict[str, Any] = {
        name: NetworkRecord(name=source.name, checkpoint=source.checkpoint).model_dump()
        for name, source in _networks(options).items()
    }
    if options.teacher_share is not None:
        given["teacher_share"] = options.teacher_share
    values = {**record.recipe.model_dump(), **given, **changes}
    recipe = parsed(RecipeRecord, values, "the recipe")
    return record.model_copy(update={"recipe": recipe})


def _with_networks(config: TrainConfig, options: TaskOptions, console: Console) -> TrainConfig:
    """Put the networks of the command line into the digits' recipe."""
    networks = _networks(options)
    if start := networks.get("start"):
        config = with_start(config, start, CLASS_NAMES, console)
    if teacher := networks.get("teacher"):
        config = with_teacher(config, teacher, CLASS_NAMES, console)
    if options.teacher_share is not None:
        config = replace(config, teacher_share=options.teacher_share)
    return config


def _networks(options: TaskOptions) -> dict[str, NetworkSource]:
    """Return the networks that the command line names: ``start``, ``teacher``."""
    given = {
        "start": (options.start, options.start_checkpoint),
        "teacher": (options.teacher, options.teacher_checkpoint),
    }
    return {
        part: NetworkSource(name, checkpoint and str(checkpoint)).resolved
        for part, (name, checkpoint) in given.items()
        if name is not None
    }
