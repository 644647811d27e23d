"""Data: folders of images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data import FolderDataset
from rtl.errors import UserError
from rtl.model import Preprocessing
from sim.preprocessing import prepare

PREPROCESSING = Preprocessing(crop=(8, 8), mode="RGB", resize=10)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, ending, size in (("cat", "png", (12, 20)), ("dog", "jpg", (31, 17))):
        folder = tmp_path / name
        folder.mkdir()
        for i in range(2):
            pixels = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}.{ending}")
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    return tmp_path


def test_folders_give_what_prepare_gives(folders: Path):
    dataset = FolderDataset(folders, PREPROCESSING, (8, 8, 3))
    assert dataset.class_names == ("cat", "dog")
    images = dataset.in_memory()
    assert images.labels.tolist() == [0, 0, 1, 1]
    expected = prepare(folders / "dog" / "0.jpg", PREPROCESSING, (8, 8, 3))
    assert (images.pixels[2].numpy() == expected).all()
    assert images.pixels.dtype == torch.uint8 and images.pixels.shape == (4, 8, 8, 3)


def test_folders_serve_a_data_loader(folders: Path):
    dataset = FolderDataset(folders, PREPROCESSING, (8, 8, 3))
    images, labels = next(iter(torch.utils.data.DataLoader(dataset, batch_size=3)))
    assert images.shape == (3, 8, 8, 3) and labels.tolist() == [0, 0, 1]


def test_folders_name_what_is_wrong(folders: Path):
    with pytest.raises(UserError, match="nowhere: no such folder"):
        FolderDataset(folders / "nowhere", PREPROCESSING, (8, 8, 3))
    with pytest.raises(UserError, match="no class folders in it"):
        FolderDataset(folders / "cat", PREPROCESSING, (8, 8, 3))
    (folders / "eel").mkdir()
    with pytest.raises(UserError, match="eel: no images in it"):
        FolderDataset(folders, PREPROCESSING, (8, 8, 3))


def test_a_broken_picture_is_named(folders: Path):
    (folders / "cat" / "0.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"0\.png"):
        FolderDataset(folders, PREPROCESSING, (8, 8, 3)).in_memory()
