"""Photographs: those of the list alone, and crops that depend on nothing else."""

import io
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.vit import photographs as module
from nas.vit.photographs import (
    CALIBRATION,
    CROPS,
    SCIKIT_IMAGE,
    TEST,
    Photograph,
    boxes,
    crop_file,
    photographs,
    write_crops,
)
from rtl.errors import UserError


def test_no_photograph_is_in_both_parts():
    parts = [photographs(part) for part in (CALIBRATION, TEST)]
    assert [len(part) for part in parts] == [12, 8]
    every = list(chain(*parts))
    assert len({each.sha256 for each in every}) == len({each.name for each in every}) == 20
    assert len(parts[0]) * CROPS[CALIBRATION] <= 64 and CROPS[TEST] == 3


@pytest.mark.parametrize("name", ["china", "flower", "grace_hopper"])
def test_photographs_of_installed_packages_are_the_listed_ones(name):
    every = {each.name: each for part in (CALIBRATION, TEST) for each in photographs(part)}
    assert every[name].open().mode == "RGB"


def test_other_photographs_are_refused(monkeypatch):
    monkeypatch.setattr(type(SCIKIT_IMAGE), "read", lambda self, path: b"another")
    with pytest.raises(UserError, match=r"skimage/data/chelsea.png of scikit-image has SHA-256"):
        photographs(TEST)[0].open()
    with pytest.raises(UserError, match="absent is in nothing: pip install it"):
        Photograph("absent", "nothing", "no_such_package/a.png", "").open()
    with pytest.raises(UserError, match=r"matplotlib has no photograph matplotlib/a.png any more"):
        Photograph("a", "matplotlib", "matplotlib/a.png", "").open()


def test_boxes_are_squares_inside():
    size = (451, 300)
    found = boxes("chelsea", size, 40)
    assert found[0] == (75, 0, 375, 300)
    for left, top, right, bottom in found:
        assert right - left == bottom - top
        assert 150 <= right - left <= 300
        assert 0 <= left and right <= 451 and 0 <= top and bottom <= 300
    assert len(set(found)) == 40


def test_boxes_are_those_of_the_published_figures():
    assert boxes("chelsea", (451, 300), 3) == boxes("chelsea", (451, 300), 5)[:3]
    assert boxes("chelsea", (451, 300), 2)[1] != boxes("flower", (451, 300), 2)[1]
    assert boxes("chelsea", (451, 300), 3)[1:] == [(120, 72, 327, 279), (123, 42, 374, 293)]


def picture(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    return Image.fromarray(pixels)


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_crops_are_files_made_once(monkeypatch, tmp_path):
    def opened(self) -> Image.Image:
        return picture(len(self.name))

    monkeypatch.setattr(Photograph, "open", opened)
    told = []
    found = write_crops(tmp_path, TEST, lambda done, total: told.append((done, total)))
    assert len(found) == 24 and told[0] == (0, 8) and told[-1] == (8, 8)
    assert found[0] == crop_file(tmp_path, TEST, "chelsea", 0)
    centre = (
        picture(len("chelsea")).crop((10, 0, 50, 40)).resize((224, 224), Image.Resampling.BICUBIC)
    )
    assert (pixels_of(found[0]) == np.asarray(centre)).all()
    found[1].unlink()
    marked = io.BytesIO()
    Image.new("RGB", (1, 1)).save(marked, "PNG")
    found[3].write_bytes(marked.getvalue())
    monkeypatch.setattr(module, "crops", lambda photograph, count: [picture(0)] * count)
    assert write_crops(tmp_path, TEST) == found
    assert pixels_of(found[1]).shape == (40, 60, 3), "a missing crop is made again"
    assert pixels_of(found[3]).shape == (1, 1, 3), "a crop that is there stays"
