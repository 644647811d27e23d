"""Folders of images: what is found, which class it has, pixels in batches."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from boards.host.pictures import prepare
from nas import folder as module
from nas.folder import open_folder, read_prepared
from rtl.errors import UserError
from rtl.model import Preprocessing

RECIPE, SHAPE = Preprocessing(crop=(4, 6), mode="RGB"), (4, 6, 3)
NAMES = ("cat", "dog", "eel")


def images(folder: Path, count: int = 1, seed: int = 0) -> Path:
    """Write images of 6 x 8 pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        pixels = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return folder


def test_classes_by_name_may_be_some_of_the_networks(tmp_path):
    images(tmp_path / "eel", 2)
    images(tmp_path / "cat")
    found = open_folder(tmp_path, NAMES)
    assert found.matching == "by name" and found.labels is not None
    labels = {(file.parent.name, int(k)) for file, k in zip(found.files, found.labels, strict=True)}
    assert labels == {("eel", 2), ("cat", 0)} and len(found.files) == 3


def test_numbers_are_classes(tmp_path):
    for number in ("10", "2"):
        images(tmp_path / number)
    found = open_folder(tmp_path, classes=11)
    assert found.matching == "by number" and found.labels is not None
    assert sorted(found.labels.tolist()) == [2, 10]


def test_as_many_folders_as_classes_are_those_in_sorted_order(tmp_path):
    for name in ("n03", "n01", "n02"):
        images(tmp_path / name)
    found = open_folder(tmp_path, NAMES)
    assert found.matching == "in sorted order" and found.labels is not None
    assert [file.parent.name for file in found.files] == ["n01", "n02", "n03"]
    assert found.labels.tolist() == [0, 1, 2]


def test_a_class_that_the_network_lacks_is_refused(tmp_path):
    images(tmp_path / "cat")
    images(tmp_path / "emu")
    message = r"the network has no class 'emu', and 2 names are not its 3 classes"
    with pytest.raises(UserError, match=message):
        open_folder(tmp_path, NAMES)


def test_empty_class_folders_count_for_nothing(tmp_path):
    images(tmp_path / "cat")
    (tmp_path / "emu").mkdir()
    assert open_folder(tmp_path, NAMES).matching == "by name"


def test_a_flat_folder_has_no_labels(tmp_path):
    (images(tmp_path, 3) / "notes.txt").write_text("no image")
    found = open_folder(tmp_path, NAMES)
    assert len(found.files) == 3 and found.labels is None


def test_without_classes_folders_are_just_folders(tmp_path):
    images(tmp_path, 1)
    images(tmp_path / "a" / "b", 2)
    found = open_folder(tmp_path)
    assert len(found.files) == 3 and found.labels is None


def test_images_beside_class_folders_are_refused(tmp_path):
    images(tmp_path)
    images(tmp_path / "cat")
    with pytest.raises(UserError, match=r"images beside class folders, such as 000.png"):
        open_folder(tmp_path, NAMES)


@pytest.mark.parametrize(
    ("name", "message"),
    [("none", "no such folder"), ("file", "not a folder"), ("empty", "holds no image: .*.png")],
)
def test_no_images_are_refused(name, message, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty" / "deep").mkdir(parents=True)
    with pytest.raises(UserError, match=message):
        open_folder(tmp_path / name, NAMES)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_prepared_images_in_order(workers, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "INLINE", 0)
    found = open_folder(images(tmp_path, 5))
    parts = list(found.batches(RECIPE, SHAPE, 2, workers))
    assert [len(part) for part in parts] == [2, 2, 1]
    wanted = np.stack([prepare(file, RECIPE, SHAPE) for file in found.files])
    assert np.array_equal(torch.cat(parts).numpy(), wanted)


@pytest.mark.parametrize("workers", [0, 1])
def test_images_that_cannot_be_read_are_one_line(workers, tmp_path, monkeypatch):
    """All of them are named; what comes before the first one is there already."""
    monkeypatch.setattr(module, "INLINE", 0)
    images(tmp_path, 6)
    (tmp_path / "003.png").write_bytes(b"no image")
    (tmp_path / "005.png").write_bytes((tmp_path / "004.png").read_bytes()[:60])
    batches = open_folder(tmp_path).batches(RECIPE, SHAPE, 2, workers)
    assert len(next(batches)) == 2
    with pytest.raises(UserError, match=r"^2 images [^\n]*003.png: [^\n]*; [^\n]*005.png: [^\n]*$"):
        next(batches)


def test_hidden_class_folders_are_none(tmp_path):
    images(tmp_path / "cat")
    images(tmp_path / "dog")
    images(tmp_path / ".ipynb_checkpoints")
    images(tmp_path / "__MACOSX" / "cat")
    (tmp_path / "cat" / "._000.png").write_bytes(b"of macOS")
    (tmp_path / "dog" / "Thumbs.db").write_bytes(b"of Windows")
    found = open_folder(tmp_path, classes=2)
    assert found.labels is not None and found.labels.tolist() == [0, 1]
    assert found.matching == "in sorted order"


def test_classes_of_a_table_beside_the_images(tmp_path):
    (images(tmp_path, 3) / "labels.csv").write_text(
        "file,class\n002.png,dog\n000,cat\n001.png,dog\n"
    )
    found = open_folder(tmp_path, NAMES)
    assert found.labels is not None and found.labels.tolist() == [0, 1, 1]
    assert (found.matching, found.origin) == ("by name", "classes of labels.csv")


def test_a_table_comes_before_class_folders(tmp_path):
    images(tmp_path / "images", 2)
    (tmp_path / "labels.txt").write_text("images/000.png 2\nimages/001.png 1\n")
    found = open_folder(tmp_path, NAMES)
    assert found.labels is not None and found.labels.tolist() == [2, 1]


def test_a_table_from_elsewhere_comes_before_folders(tmp_path):
    images(tmp_path / "data" / "a", 2)
    table = tmp_path / "mine.csv"
    table.write_text("a/000.png;2\na/001.png;0\n")
    found = open_folder(tmp_path / "data", NAMES, table=table)
    assert found.labels is not None and found.labels.tolist() == [2, 0]
    with pytest.raises(UserError, match=r"mine.csv: the network has no classes"):
        open_folder(tmp_path / "data", table=table)


def test_some_images_are_spread_evenly(tmp_path):
    for name in NAMES:
        images(tmp_path / name, 4)
    found = open_folder(tmp_path, NAMES).spread(6)
    assert found.labels is not None and found.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert [file.name for file in found.files] == ["000.png", "002.png"] * 3
    assert found.spread(100) is found


def test_a_process_that_is_ended_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "INLINE", 2)
    monkeypatch.setattr(module, "prepare", lambda *of: os._exit(1))  # as for lack of memory
    files = sorted(images(tmp_path, 4).iterdir())
    with pytest.raises(
        UserError, match=r"one of 1 processes that read images was ended, .*workers"
    ):
        list(read_prepared(files, RECIPE, SHAPE, 2, workers=1))
