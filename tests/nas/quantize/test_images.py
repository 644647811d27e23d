"""Folders of pictures, and what is no use for calibration."""

import numpy as np
import pytest
from PIL import Image

from nas.quantize.images import image_files, load_images
from rtl.errors import UserError
from rtl.model import Preprocessing

CROP = Preprocessing(crop=(6, 8), mode="RGB", resize=6)


def picture(path, value=None):
    rng = np.random.default_rng(len(path.name))
    pixels = rng.integers(0, 256, (10, 16, 3), np.uint8)
    if value is not None:
        pixels[:] = value
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_pictures_are_found_in_folders_too(tmp_path):
    for name in ("b.png", "a.JPG", "in/c.bmp"):
        picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "._a.JPG").write_bytes(b"of macOS")
    found = [file.relative_to(tmp_path).as_posix() for file in image_files(tmp_path)]
    assert found == ["a.JPG", "b.png", "in/c.bmp"]


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_pictures(tmp_path, count):
    for i in range(count):
        picture(tmp_path / f"{i}.png")
    with pytest.raises(UserError, match=f"{count} images, at least 2 are needed"):
        image_files(tmp_path)


def test_no_folder(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        image_files(tmp_path / "nowhere")


def test_large_folders_are_thinned_evenly(tmp_path):
    for i in range(9):
        picture(tmp_path / f"{i}.png", value=[i, i, 200] * np.ones((10, 16, 1), np.uint8))
    files = image_files(tmp_path)
    told = []
    with pytest.raises(UserError, match="single colour"):
        load_images(files, CROP, (6, 8, 3), most=3, progress=lambda *step: told.append(step))
    assert told == [(0, 3), (1, 3), (2, 3)]
    picture(tmp_path / "4.png")
    images = load_images(files, CROP, (6, 8, 3), most=3)
    assert images.shape == (3, 6, 8, 3)
    assert images[0].unique().tolist() == [0, 200]
    assert images[2].unique().tolist() == [8, 200]


def test_black_pictures(tmp_path):
    for i in range(3):
        picture(tmp_path / f"{i}.png", value=0)
    with pytest.raises(UserError, match="every image is of a single colour"):
        load_images(image_files(tmp_path), CROP, (6, 8, 3))


def test_copies_of_one_picture(tmp_path):
    for name in "abc":
        picture(tmp_path / f"{name}.png")
    with pytest.raises(UserError, match="every image is the same"):
        load_images(image_files(tmp_path), CROP, (6, 8, 3))
    picture(tmp_path / "another.png")
    assert len(load_images(image_files(tmp_path), CROP, (6, 8, 3))) == 4


def test_all_pictures_that_cannot_be_read_are_named(tmp_path):
    for name in "abc":
        picture(tmp_path / f"{name}.png")
    for name in "xyz":
        (tmp_path / f"{name}.png").touch()
    with pytest.raises(UserError, match=r"^3 images [^\n]*x.png[^\n]*y.png[^\n]*z.png[^\n]*$"):
        load_images(image_files(tmp_path), CROP, (6, 8, 3))
