"""The task of a folder of images."""

from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np
from rich.console import Console

from boards.host.pictures import one_error
from nas.data import Images, TrainingData, spread
from nas.stored import StoredImages
from nas.supernet.supernet import SupernetConfig
from nas.task.images import IN_MEMORY_BYTES, load_part
from nas.task.networks import with_start, with_teacher
from nas.task.parts import TEST, TRAIN, VALIDATION, Parts, find_parts
from nas.task.pixels import Look, look_at, statistics
from nas.task.record import AugmentationRecord, DataRecord, RecipeRecord, TaskRecord
from nas.task.sizes import load_sizes
from nas.task.task import FolderImages, Task
from nas.training.augment import Augmentation
from nas.training.recipe import TrainConfig
from nas.warm.source import NetworkSource
from rtl.console import progress_bars
from rtl.errors import UserError

SPACE = "digits"  # by default
STEPS = 600  # of each stage at least, however few the images are
EPOCHS = 30  # of each stage at least
SHIFT = 0.06  # of the image's size, either way
STATISTICS_IMAGES = 4096  # of a set in files, whose mean and deviation count


def record_of(
    folder: Path, space: str | None = None, size: int | None = None, patch: int | None = None
) -> TaskRecord:
    """Settle what a folder's task is: by options where they are given, else by the images.

    Raises
    ------
    UserError
        If the folder's images cannot be used, or an option is wrong.
    """
    sizes = load_sizes(space or SPACE)
    train = find_parts(folder).train
    look = look_at(train.files, size, patch)
    batch = RecipeRecord.model_fields["batch"].default
    epochs = max(EPOCHS, ceil(STEPS / max(1, len(train.files) // batch)))
    return TaskRecord(
        data=DataRecord(
            folder=str(folder.resolve()),
            image_size=look.size,
            patch=look.patch,
            mode="L" if look.mode == "L" else "RGB",
        ),
        space=sizes,
        recipe=RecipeRecord(
            float_epochs=epochs,
            quantized_epochs=epochs,
            augmentation=AugmentationRecord(shift=round(SHIFT * look.size, 2)),
        ),
    )


def folder_task(
    record: TaskRecord,
    console: Console,
    *,
    workers: int = 0,
    skip_unreadable: bool = False,
    in_memory_bytes: int = IN_MEMORY_BYTES,
) -> Task:
    """Find and read the images of a task.

    Those of a large part stay in their files, and all that train where single pictures are changed.

    Test images are looked at as well, to say before the training if they cannot be read; none of
    them is kept.

    Parameters
    ----------
    record : TaskRecord
    console : Console
        Terminal of the progress bar.
    workers : int
        Processes that read ahead.
    skip_unreadable : bool
        Leave out what cannot be read instead of refusing it.
    in_memory_bytes : int
        Pixels of a part up to which it is read into memory.

    Raises
    ------
    UserError
        If images cannot be read: names them all.
    """
    parts = find_parts(Path(record.data.folder))
    look = Look(record.data.image_size, record.data.patch, record.data.mode)
    space = record.space.space(look.image, look.patch, len(parts.class_names))
    limits = dict.fromkeys(parts.by_name, in_memory_bytes)
    if Augmentation(**record.recipe.augmentation.model_dump()).of_pictures:
        limits[TRAIN] = 0
    sets, problems = _load(parts, look, workers, console, limits)
    if problems and not skip_unreadable:
        error = one_error([*problems.values()])
        raise UserError(f"{error}: mend them, or leave them out by --skip-unreadable")
    parts = parts.without(set(problems))
    _require_classes(parts)
    console.print(parts.describe(), highlight=False, markup=False, soft_wrap=True)
    if problems:
        console.print(f"warning: {len(problems)} images cannot be read: they are left out")
    data = TrainingData(
        train=sets[TRAIN],
        validation=sets[VALIDATION],
        class_names=parts.class_names,
        preprocessing=look.preprocessing,
    )
    some = data.train
    if isinstance(some, StoredImages):
        some = some.take(spread(len(some), STATISTICS_IMAGES))
    recipe = _config(record, SupernetConfig(space, *statistics(some)), parts.class_names, console)
    origin = FolderImages(parts, look, workers)
    return Task(space, data, recipe, origin, len(parts.test_part.files), record)


def _load(
    parts: Parts, look: Look, workers: int, console: Console, limits: dict[str, int]
) -> tuple[dict[str, Images], dict[Path, UserError]]:
    """Load all parts; test images that were read are dropped at once."""
    sets, problems = {}, {}
    total = sum(len(part.files) for part in parts.by_name.values())
    with progress_bars(console=console) as bars:
        bar = bars.add_task("images", total=total)

        def advance(count: int) -> None:
            bars.advance(bar, count)

        for name, part in parts.by_name.items():
            images, found = load_part(part, look, workers, advance, in_memory_bytes=limits[name])
            problems |= found
            if name != TEST:
                sets[name] = images
    return sets, problems


def _require_classes(parts: Parts) -> None:
    """Check that each class has images in each part that can be read."""
    for name, part in parts.by_name.items():
        counts = np.bincount(part.labels, minlength=len(parts.class_names))
        if not counts.all():
            lost = parts.class_names[int(counts.argmin())]
            raise UserError(f"{parts.folder}: {name} has no readable image of class '{lost}'")


def _config(
    record: TaskRecord, supernet: SupernetConfig, names: tuple[str, ...], console: Console
) -> TrainConfig:
    values = record.recipe.model_dump()
    augmentation = Augmentation(**values.pop("augmentation"))
    start, teacher = values.pop("start"), values.pop("teacher")
    config = TrainConfig(supernet, augmentation)
    if start:
        config = with_start(config, NetworkSource(**start), names, console)
    if teacher:
        config = with_teacher(config, NetworkSource(**teacher), names, console)
    return replace(config, **values)
