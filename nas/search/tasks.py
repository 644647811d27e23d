"""The task of a run, by its options."""

from dataclasses import replace
from typing import Any

from rich.console import Console

from nas.digits import CLASS_NAMES
from nas.search.options import SearchOptions
from nas.task.folder import folder_task, record_of
from nas.task.networks import with_start, with_teacher
from nas.task.record import NetworkRecord, TaskRecord
from nas.task.task import Task, digits_task
from nas.training.recipe import TrainConfig
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
        task = replace(task, recipe=_with_networks(task.recipe, options, console))
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
    given: dict[str, Any] = {
        name: NetworkRecord(name=source.name, checkpoint=source.checkpoint)
        for name, source in _networks(options).items()
    }
    if options.teacher_share is not None:
        given["teacher_share"] = options.teacher_share
    recipe = record.recipe.model_copy(update=given)
    return record.model_copy(update={"recipe": recipe})


def _with_networks(config: TrainConfig, options: SearchOptions, console: Console) -> TrainConfig:
    """Put the networks of the command line into the digits' recipe."""
    networks = _networks(options)
    if start := networks.get("start"):
        config = with_start(config, start, CLASS_NAMES, console)
    if teacher := networks.get("teacher"):
        config = with_teacher(config, teacher, CLASS_NAMES, console)
    if options.teacher_share is not None:
        config = replace(config, teacher_share=options.teacher_share)
    return config


def _networks(options: SearchOptions) -> dict[str, NetworkSource]:
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
