"""A part's images are in memory or in their files, by what they need."""

import pytest
import torch
from rich.console import Console

from nas.data import ImageSet
from nas.stored import StoredImages
from nas.task.folder import folder_task, record_of
from nas.task.images import load_part
from nas.task.parts import find_parts
from nas.task.pixels import Look
from nas.testset import load_test
from rtl.errors import UserError
from tests.nas.task.folders import fill

LOOK = Look(16, 4, "RGB")
BYTES = 16 * 16 * 3
QUIET = Console(quiet=True)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PULSAR_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(("most", "kind"), [(28 * BYTES, ImageSet), (28 * BYTES - 1, StoredImages)])
def test_what_fits_is_read(most, kind, tmp_path):
    part = find_parts(fill(tmp_path / "images", 20)).train
    images, problems = load_part(part, LOOK, in_memory_bytes=most)
    assert type(images) is kind and len(images) == 28 and not problems
    assert images.labels.tolist() == part.labels.tolist()


@pytest.mark.parametrize("most", [10**9, 0])
def test_what_cannot_be_read_is_left_out(most, tmp_path):
    part = find_parts(fill(tmp_path / "images", 20)).train
    part.files[0].write_bytes(b"")
    images, problems = load_part(part, LOOK, in_memory_bytes=most)
    assert list(problems) == [part.files[0]]
    assert images.labels.tolist() == part.labels.tolist()[1:] and len(images.pixels) == 27


def test_the_same_task_either_way(tmp_path):
    record = record_of(fill(tmp_path / "images", 20))
    memory, files = (folder_task(record, QUIET, in_memory_bytes=most) for most in (10**9, 0))
    assert files.recipe == memory.recipe and files.test_images == memory.test_images
    assert torch.equal(files.data.validation.pixels, memory.data.validation.pixels)
    assert torch.equal(load_test(files.origin).pixels, load_test(memory.origin).pixels)
    again = folder_task(record, QUIET, in_memory_bytes=0)
    keys = [task.recipe.key(task.data) for task in (files, again, memory)]
    assert keys[0] == keys[1] != keys[2]


def test_unreadable_files_of_a_large_part_are_refused(tmp_path):
    record = record_of(fill(tmp_path / "images", 20))
    lost = tmp_path / "images" / "ant" / "3.png"
    lost.write_bytes(b"")
    with pytest.raises(UserError, match=f"{lost}: .*--skip-unreadable"):
        folder_task(record, QUIET, in_memory_bytes=0)
