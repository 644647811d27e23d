"""Size and channels that fit images, and their pixels."""

import numpy as np
import pytest
import torch

from boards.host.pictures import prepare
from nas.data import ImageSet
from nas.task.pixels import Look, look_at, read_pixels, statistics
from rtl.errors import UserError
from tests.nas.task.folders import fill, picture


def files_of(folder):
    return sorted(folder.rglob("*.png"))


@pytest.mark.parametrize(
    ("size", "mode", "look"),
    [
        ((64, 64), "RGB", Look(64, 8, "RGB")),
        ((28, 28), "L", Look(28, 4, "L")),
        ((40, 30), "RGB", Look(28, 4, "RGB")),
        ((500, 375), "RGB", Look(224, 16, "RGB")),
        ((120, 130), "L", Look(112, 16, "L")),
        ((5, 9), "L", Look(5, 1, "L")),
    ],
)
def test_images_decide(size, mode, look, tmp_path):
    fill(tmp_path, 2, size=size, mode=mode)
    assert look_at(files_of(tmp_path)) == look
    assert look.preprocessing.crop == look.image[:2]


def test_the_most_frequent_size_counts_and_one_of_colour_is_enough(tmp_path):
    fill(tmp_path, 3, size=(32, 48), mode="L")
    picture(tmp_path / "ant" / "large.png", size=(300, 300), mode="RGB")
    (tmp_path / "ant" / "broken.png").write_bytes(b"no picture")
    assert look_at(files_of(tmp_path)) == Look(32, 4, "RGB")


def test_options_decide(tmp_path):
    files = files_of(fill(tmp_path, 2, size=(64, 64)))
    assert look_at(files, size=48) == Look(48, 6, "RGB")
    assert look_at(files, patch=10) == Look(60, 10, "RGB")
    assert look_at(files, size=48, patch=12) == Look(48, 12, "RGB")
    with pytest.raises(UserError, match="--image-size 48 must be a multiple of --patch 10"):
        look_at(files, size=48, patch=10)


def test_no_image_that_can_be_read(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(UserError, match="none of the images can be read"):
        look_at([tmp_path / "a.png"])


@pytest.mark.parametrize("workers", [0, 1])
def test_pixels_are_the_host_s(workers, tmp_path):
    files, look = files_of(fill(tmp_path, 40, size=(20, 30))), Look(16, 4, "RGB")
    seen = []
    pixels, problems = read_pixels(files, look, workers, seen.append)
    assert not problems and sum(seen) == 80
    for index in (0, 79):
        expected = prepare(files[index], look.preprocessing, look.image)
        np.testing.assert_array_equal(pixels[index], expected)


def test_what_cannot_be_read_is_left_out_and_named(tmp_path):
    files, look = files_of(fill(tmp_path, 3)), Look(16, 4, "RGB")
    whole, _ = read_pixels(files, look)
    files[1].write_bytes(b"")
    files[4].write_bytes(b"no picture")
    pixels, problems = read_pixels(files, look)
    assert list(problems) == [1, 4] and all(str(files[i]) in str(problems[i]) for i in (1, 4))
    assert torch.equal(pixels, whole[[0, 2, 3, 5]])


def labelled(pixels):
    return ImageSet(pixels, torch.zeros(len(pixels), dtype=torch.int64))


def test_statistics():
    pixels = torch.randint(0, 256, (130, 8, 8, 3), dtype=torch.uint8)
    pixels[..., 1] //= 2
    mean, std = statistics(labelled(pixels))
    exact = pixels.double().flatten(0, 2)
    assert mean == tuple(int(value) for value in exact.mean(0).round())
    expected = float((exact - torch.tensor(mean)).square().mean().sqrt())
    assert std == pytest.approx(expected, abs=1e-3)
    assert statistics(labelled(torch.zeros(2, 4, 4, 1, dtype=torch.uint8))) == ((0,), 1.0)
