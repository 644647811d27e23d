"""The task of a run, by its options."""

from rich.console import Console

from nas.search.options import SearchOptions
from nas.task.folder import folder_task, record_of
from nas.task.record import TaskRecord
from nas.task.task import Task, digits_task
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
        return TaskRecord.load(options.task)
    assert options.data is not None
    return record_of(options.data, options.space, options.image_size, options.patch)
