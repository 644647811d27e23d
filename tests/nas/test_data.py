"""Data: the split's properties, who may see the test set, folders of pictures."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import nas
from nas.data import (
    FolderDataset,
    digits_pictures,
    digits_split,
    load_digits,
    load_folders,
    stratified_split,
)
from nas.testset import load_digits_test, load_folders_test
from rtl.errors import UserError
from rtl.model import Preprocessing
from sim.preprocessing import prepare

MAY_SEE_TEST = {"report"}  # modules of nas
PREPROCESSING = Preprocessing(crop=(8, 8), mode="RGB", resize=10)


def test_split_covers_the_digits_without_overlap():
    split = digits_split()
    assert {name: len(part) for name, part in split.items()} == {
        "train": 3500,
        "validation": 500,
        "test": 1000,
    }
    together = np.sort(np.concatenate([*split.values()]))
    assert (together == np.arange(5000)).all()


def test_split_is_stratified():
    labels = digits_pictures().labels.numpy()
    for part in digits_split().values():
        counts = np.bincount(labels[part])
        assert (counts == len(part) // 10).all()


def test_split_is_what_made_it():
    made = stratified_split(
        digits_pictures().labels.numpy(), {"validation": 500, "test": 1000}, 2024
    )
    for name, part in made.items():
        assert (part == digits_split()[name]).all()


def test_stratified_split_needs_whole_classes():
    with pytest.raises(ValueError, match="test must be a multiple of 3 classes, not 4"):
        stratified_split(np.array([0, 1, 2] * 4), {"test": 4}, 0)


def test_no_test_picture_is_among_the_training_data():
    data, test = load_digits(), load_digits_test()
    assert len(data.train) == 3500 and len(data.validation) == 500 and len(test) == 1000
    seen = {
        image.numpy().tobytes() for image in torch.cat([data.train.images, data.validation.images])
    }
    assert not any(image.numpy().tobytes() in seen for image in test.images)


def test_only_the_report_may_see_the_test_set():
    for path in Path(nas.__file__).parent.glob("**/*.py"):
        if path.stem in MAY_SEE_TEST | {"testset"}:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            imported = []
            if isinstance(node, ast.ImportFrom):
                imported = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            assert not any("nas.testset" in name for name in imported), path


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for part in ("train", "validation", "test"):
        for name, ending, size in (("cat", "png", (12, 20)), ("dog", "jpg", (31, 17))):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for i in range(2):
                pixels = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.{ending}")
    (tmp_path / "train" / "cat" / "notes.txt").write_text("no picture")
    return tmp_path


def test_folders_give_what_prepare_gives(folders: Path):
    data = load_folders(folders, PREPROCESSING, (8, 8, 3))
    assert data.class_names == ("cat", "dog")
    assert data.train.labels.tolist() == [0, 0, 1, 1]
    expected = prepare(folders / "train" / "dog" / "0.jpg", PREPROCESSING, (8, 8, 3))
    assert (data.train.images[2].numpy() == expected).all()
    assert data.train.images.dtype == torch.uint8 and data.train.images.shape == (4, 8, 8, 3)
    assert len(load_folders_test(folders, PREPROCESSING, (8, 8, 3))) == 4


def test_folders_serve_a_data_loader(folders: Path):
    dataset = FolderDataset(folders / "train", PREPROCESSING, (8, 8, 3))
    images, labels = next(iter(torch.utils.data.DataLoader(dataset, batch_size=3)))
    assert images.shape == (3, 8, 8, 3) and labels.tolist() == [0, 0, 1]


def test_folders_name_what_is_wrong(folders: Path):
    with pytest.raises(UserError, match="nowhere: no such folder"):
        FolderDataset(folders / "nowhere", PREPROCESSING, (8, 8, 3))
    with pytest.raises(UserError, match="no class folders in it"):
        FolderDataset(folders / "train" / "cat", PREPROCESSING, (8, 8, 3))
    (folders / "train" / "eel").mkdir()
    with pytest.raises(UserError, match="eel: no pictures in it"):
        load_folders(folders, PREPROCESSING, (8, 8, 3))
    Image.new("RGB", (9, 9)).save(folders / "train" / "eel" / "0.png")
    with pytest.raises(UserError, match="train and validation have different classes: eel"):
        load_folders(folders, PREPROCESSING, (8, 8, 3))


def test_a_broken_picture_is_named(folders: Path):
    (folders / "train" / "cat" / "0.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"0\.png"):
        load_folders(folders, PREPROCESSING, (8, 8, 3))
