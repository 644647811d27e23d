"""The task that options name."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rich.console import Console

from nas.data import thinned
from nas.task.folder import folder_task, record_of
from nas.task.networks import with_start
from nas.task.options import TaskOptions
from nas.task.record import NetworkRecord, RecipeRecord, TaskRecord
from nas.task.sizes import parsed
from nas.task.task import Task, digits_task
from nas.warm.source import NetworkSource

QUICK_EVERY = 7  # one image in seven


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
        task = digits_task(options.split)
        if start := _start(options):
            names = task.data.class_names
            task = replace(task, recipe=with_start(task.recipe, start, names, console))
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
    if start := _start(options):
        network = NetworkRecord(name=start.name, checkpoint=start.checkpoint)
        changes = {**changes, "start": network.model_dump()}
    recipe = parsed(RecipeRecord, {**record.recipe.model_dump(), **changes}, "the recipe")
    return record.model_copy(update={"recipe": recipe})


def _start(options: TaskOptions) -> NetworkSource | None:
    """Return the network to start from, by the command line."""
    if options.start is None:
        return None
    checkpoint = options.start_checkpoint
    return NetworkSource(options.start, checkpoint and str(checkpoint)).resolved
