"""The task of a run, by its options."""

from dataclasses import replace

from rich.console import Console

from nas.search.options import SearchOptions
from nas.task.folder import folder_task, record_of
from nas.task.networks import with_start
from nas.task.record import NetworkRecord, TaskRecord
from nas.task.task import Task, digits_task
from nas.warm.source import NetworkSource
from rtl.errors import UserError


def open_task(options: SearchOptions, console: Console) -> Task:
    """Read the images that the options name: the digits, or a folder's.

    Raises
    ------
    UserError
        If they cannot be used, or there are fewer test images than the RTL is to run.
    """
    if options.data is None and options.task is None:
        task = digits_task(options.split)
        if start := _start(options):
            names = task.data.class_names
            task = replace(task, recipe=with_start(task.recipe, start, names, console))
    else:
        task = folder_task(
            _record(options),
            console,
            workers=options.workers if options.workers > 1 else 0,
            skip_unreadable=options.skip_unreadable,
        )
    if options.images > task.test_images:
        raise UserError(
            f"--images must be from 0 to {task.test_images}, the number of test images, not"
            f" {options.images}"
        )
    return task


def _record(options: SearchOptions) -> TaskRecord:
    if options.task:
        record = TaskRecord.load(options.task)
    else:
        assert options.data is not None
        record = record_of(options.data, options.space, options.image_size, options.patch)
    if start := _start(options):
        network = NetworkRecord(name=start.name, checkpoint=start.checkpoint)
        recipe = record.recipe.model_copy(update={"start": network})
        record = record.model_copy(update={"recipe": recipe})
    return record


def _start(options: SearchOptions) -> NetworkSource | None:
    """Return the network to start from, by the command line."""
    if options.start is None:
        return None
    checkpoint = options.start_checkpoint
    return NetworkSource(options.start, checkpoint and str(checkpoint)).resolved
