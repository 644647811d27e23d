"""Training from files is training from memory."""

from dataclasses import replace

import pytest
import torch
from rich.console import Console

from nas.data import ImageSet
from nas.stored import StoredImages
from nas.task.folder import folder_task, record_of
from nas.task.sizes import sizes_of
from nas.training.batches import Batches
from nas.training.streamed import StreamedBatches, batches_of
from nas.training.trainer import Trainer
from rtl.errors import UserError
from tests.nas.conftest import SPACE
from tests.nas.task.folders import fill


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    """Return a folder's task with images in memory, and in their files, read by a process."""
    monkeypatch.setenv("PULSAR_CACHE", str(tmp_path / "cache"))
    record = record_of(fill(tmp_path / "images", 20, size=(8, 8)), patch=4)
    record = record.model_copy(update={"space": sizes_of(SPACE)})
    quiet = Console(quiet=True)
    return [folder_task(record, quiet, workers=1, in_memory_bytes=most) for most in (10**9, 0)]


def configs(tasks, **changes):
    return [replace(task.recipe, batch=8, **changes) for task in tasks]


@pytest.mark.parametrize("workers", [0, 1])
def test_each_step_has_the_same_images(workers, tasks):
    config = configs(tasks)[0]
    memory = batches_of(config, tasks[0].data.train)
    files = batches_of(config, replace(tasks[1].data.train, workers=workers))
    assert type(memory) is Batches and type(files) is StreamedBatches
    assert files.steps_per_epoch == memory.steps_per_epoch == 3
    for step in (0, 1, 2, 3, 4, 9, 2, 3):
        for one, two in zip(files.batch(step), memory.batch(step), strict=True):
            assert torch.equal(one, two)


def test_a_file_that_is_gone_ends_training_in_one_line(tasks):
    images = tasks[1].data.train
    batches = batches_of(configs(tasks)[1], images)
    batches.batch(0)
    images.files[int(batches.positions(9)[0])].unlink()
    with pytest.raises(UserError, match="no such file"):
        for step in range(1, 10):
            batches.batch(step)


def test_training_gives_equal_bytes_resumed_or_not(tasks, tmp_path):
    trainers = []
    for task, config in zip(tasks, configs(tasks, float_epochs=1, quantized_epochs=1), strict=True):
        path = tmp_path / f"{type(task.data.train).__name__}.pt"
        trainer = Trainer(config, task.data, path)
        for _ in range(4):
            trainer.advance()
        trainer.save()
        resumed = Trainer(config, task.data, path)
        for _ in range(2):
            trainer.advance(), resumed.advance()
        trainers += [trainer, resumed]
    assert isinstance(tasks[1].data.train, StoredImages)
    first, *others = (trainer.net.state_dict() for trainer in trainers)
    for state in others:
        assert state.keys() == first.keys()
        for name, value in first.items():
            assert name == "_extra_state" or torch.equal(value, state[name])


PICTURES = {"crop": 0.4, "policy": "rand-m9-mstd0.5-inc1", "erasing": 0.25}


@pytest.fixture
def changing(tasks, tmp_path):
    """Return the configuration and the images of a task that changes single pictures."""
    task = tasks[0]
    recipe = task.record.recipe
    augmentation = recipe.augmentation.model_copy(update=PICTURES)
    recipe = recipe.model_copy(update={"augmentation": augmentation, "batch": 8})
    record = task.record.model_copy(update={"recipe": recipe})
    task = folder_task(record, Console(quiet=True), workers=1)
    assert task.data.validation.pixels is not None
    return task.recipe, task.data.train


def test_changed_pictures_come_from_files_and_are_functions_of_seed_and_step(changing):
    config, images = changing
    assert isinstance(images, StoredImages)
    ahead, alone = (batches_of(config, replace(images, workers=workers)) for workers in (1, 0))
    first = ahead.batch(0)[0]
    for step in (0, 1, 4):
        assert torch.equal(ahead.batch(step)[0], alone.batch(step)[0])
    assert not torch.equal(ahead.read(0).pixels, images.take(ahead.positions(0)).pixels)
    assert not torch.equal(first, batches_of(replace(config, seed=1), images).batch(0)[0])


def test_pictures_in_memory_are_changed_too(changing):
    config, images = changing
    batches = batches_of(config, ImageSet(images.pixels, images.labels))
    assert type(batches) is StreamedBatches
    assert not torch.equal(batches.read(0).pixels, images.take(batches.positions(0)).pixels)
    assert torch.equal(batches.batch(3)[0], batches.batch(3)[0])
