"""The task of a folder: its images, what is left out, and the recipe."""

import pytest
import torch
from rich.console import Console

from nas.task.folder import EPOCHS, STEPS, folder_task, record_of
from nas.testset import load_test
from nas.training.recipe import TrainConfig
from rtl.errors import UserError
from tests.nas.task.folders import fill

QUIET = Console(quiet=True)


def test_images_and_recipe(tmp_path):
    task = folder_task(record_of(fill(tmp_path, 20, size=(24, 20), mode="L")), QUIET)
    assert task.space.image == (20, 20, 1) and task.space.patch == 2 and task.space.classes == 2
    data = task.data
    assert (len(data.train), len(data.validation), task.test_images) == (28, 4, 8)
    assert data.class_names == ("ant", "bee") and data.preprocessing.resize == 20
    assert data.train.pixels.shape == (28, 20, 20, 1)
    assert data.train.labels.tolist() == [0] * 14 + [1] * 14
    assert isinstance(task.recipe, TrainConfig) and task.recipe.float_epochs == STEPS
    assert task.recipe.supernet.pixel_mean[0] in range(120, 136)
    assert task.recipe.augmentation.mirror and task.recipe.augmentation.shift == 1.2


def test_test_images_are_others(tmp_path):
    task = folder_task(record_of(fill(tmp_path, 20)), QUIET)
    test = load_test(task.origin)
    assert len(test) == task.test_images and test.labels.tolist() == [0] * 4 + [1] * 4
    seen = {
        image.numpy().tobytes() for image in (*task.data.train.pixels, *task.data.validation.pixels)
    }
    assert not any(image.numpy().tobytes() in seen for image in test.pixels)


def test_as_many_steps_however_few_images(tmp_path):
    small, large = fill(tmp_path / "small", 10), fill(tmp_path / "large", 100)
    for folder, images in ((small, 14), (large, 136)):
        recipe = record_of(folder).recipe
        assert recipe.float_epochs == recipe.quantized_epochs
        assert recipe.float_epochs * max(1, images // recipe.batch) >= STEPS
        assert recipe.float_epochs >= EPOCHS


def test_an_engine_s_row_tiles_and_the_options_count(tmp_path):
    task = folder_task(record_of(fill(tmp_path)), QUIET)
    config = task.config(task.space.tiled(32), act_bits=8, seed=3, threads=2)
    assert config.supernet.space.row_granularity == 32 and config.supernet.act_bits == 8
    assert (config.seed, config.threads, config.batch) == (3, 2, task.recipe.batch)
    assert config.supernet.pixel_mean == task.recipe.supernet.pixel_mean


def test_unreadable_images_are_named_together_or_left_out(tmp_path):
    record = record_of(fill(tmp_path, 20))
    lost = [tmp_path / "ant" / "3.png", tmp_path / "bee" / "17.png"]
    for path in lost:
        path.write_bytes(b"")
    with pytest.raises(UserError) as raised:
        folder_task(record, QUIET)
    said = str(raised.value)
    assert said.startswith("2 images are of no use: ") and all(str(path) in said for path in lost)
    assert said.endswith(": mend them, or leave them out by --skip-unreadable")
    task = folder_task(record, QUIET, skip_unreadable=True)
    assert len(task.data.train) + len(task.data.validation) + task.test_images == 38
    assert len(task.data.train) == len(task.data.train.pixels)
    assert len(load_test(task.origin)) == task.test_images


def test_a_class_that_cannot_be_read(tmp_path):
    fill(tmp_path / "train", 8), fill(tmp_path / "val", 2), fill(tmp_path / "test", 2)
    for path in (tmp_path / "val" / "bee").iterdir():
        path.write_bytes(b"")
    with pytest.raises(UserError, match="validation has no readable image of class 'bee'"):
        folder_task(record_of(tmp_path), QUIET, skip_unreadable=True)


def test_the_same_folder_gives_the_same_task(tmp_path):
    record = record_of(fill(tmp_path))
    one, two = (folder_task(record, QUIET) for _ in range(2))
    assert one.recipe == two.recipe and torch.equal(one.data.train.pixels, two.data.train.pixels)
    assert one.recipe.key(one.data) == two.recipe.key(two.data)
