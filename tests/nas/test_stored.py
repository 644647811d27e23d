"""Images in their files are those in memory."""

import numpy as np
import pytest
import torch
from rich.console import Console

from nas.data import ImageSet
from nas.stored import StoredImages
from nas.task.folder import folder_task, record_of
from rtl.errors import UserError
from tests.nas.task.folders import fill


@pytest.fixture
def both(tmp_path, monkeypatch):
    """Training images of a folder, in memory and in their files."""
    monkeypatch.setenv("PULSAR_CACHE", str(tmp_path / "cache"))
    record, quiet = record_of(fill(tmp_path / "images", 20)), Console(quiet=True)
    tasks = (folder_task(record, quiet, in_memory_bytes=most) for most in (10**9, 0))
    memory, files = (task.data.train for task in tasks)
    assert isinstance(memory, ImageSet) and isinstance(files, StoredImages)
    return memory, files


def equal(one, two):
    return torch.equal(one.pixels, two.pixels) and torch.equal(one.labels, two.labels)


def test_all_at_once_and_batch_by_batch(both):
    memory, files = both
    assert len(files) == len(memory) == 28 and equal(files, memory)
    parts = zip(files.batches(9), memory.batches(9), strict=True)
    assert all(isinstance(one, ImageSet) and equal(one, two) for one, two in parts)


@pytest.mark.parametrize("index", [[5, 0, 27], np.arange(3), torch.tensor([2]), []])
def test_some_of_them(index, both):
    memory, files = both
    some = files.take(index)
    assert equal(some, memory.take(torch.as_tensor(index, dtype=torch.int64)))
    assert len(some) == len(some.files) == len(some.digests) == len(index)


def test_a_file_that_is_gone(both):
    _, files = both
    files.files[3].unlink()
    with pytest.raises(UserError, match=f"{files.files[3]}: no such file"):
        list(files.batches(2))


def test_what_tells_them_from_others(both):
    _, files = both
    other = files.take(np.arange(1, 28))
    assert [*files.content()] == [*files.take(np.arange(28)).content()] != [*other.content()]
