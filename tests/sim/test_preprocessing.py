"""The one preprocessing function: exact pixels, and a clear line for what it refuses."""

import re

import numpy as np
import pytest
from PIL import Image

from rtl.errors import UserError
from rtl.model import Preprocessing
from sim.preprocessing import prepare

GREY = (28, 28, 1)
PLAIN = Preprocessing(crop=(28, 28), mode="L")


def picture(height, width, channels=1, seed=0):
    shape = (height, width) if channels == 1 else (height, width, channels)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return Image.fromarray(pixels), pixels


def refusal(image, preprocessing=PLAIN, shape=GREY):
    with pytest.raises(UserError) as error:
        prepare(image, preprocessing, shape)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_same_size_is_copied_and_writable():
    image, pixels = picture(28, 28)
    prepared = prepare(image, PLAIN, GREY)
    assert prepared.dtype == np.uint8 and prepared.flags.writeable
    np.testing.assert_array_equal(prepared[..., 0], pixels)


def test_file_and_image_give_the_same(tmp_path):
    image, pixels = picture(30, 40, 3)
    image.save(tmp_path / "a.png")
    rgb = Preprocessing(crop=(28, 28), mode="RGB")
    from_file = prepare(tmp_path / "a.png", rgb, (28, 28, 3))
    np.testing.assert_array_equal(from_file, pixels[1:29, 6:34])
    np.testing.assert_array_equal(prepare(str(tmp_path / "a.png"), rgb, (28, 28, 3)), from_file)


def test_odd_margins_leave_more_below_and_right():
    image, pixels = picture(31, 29)
    np.testing.assert_array_equal(prepare(image, PLAIN, GREY)[..., 0], pixels[1:29, 0:28])


def test_invert():
    image, pixels = picture(28, 28)
    inverted = prepare(image, Preprocessing(crop=(28, 28), mode="L", invert=True), GREY)
    np.testing.assert_array_equal(inverted[..., 0], 255 - pixels)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width"), [(100, 75), (20, 33)])
def test_resize_keeps_proportions(interpolation, height, width):
    image, _ = picture(height, width)
    recipe = Preprocessing(crop=(28, 28), mode="L", resize=32, interpolation=interpolation)
    filter_ = Image.Resampling[interpolation.upper()]
    size = (32, 42) if height > width else (52, 32)
    resized = np.asarray(image.resize(size, filter_))
    top, left = (size[1] - 28) // 2, (size[0] - 28) // 2
    expected = resized[top : top + 28, left : left + 28]
    np.testing.assert_array_equal(prepare(image, recipe, GREY)[..., 0], expected)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_modes_of_eight_bits_are_converted(mode):
    image = picture(28, 28, 3)[0].convert(mode)
    assert prepare(image, PLAIN, GREY).shape == GREY
    assert prepare(image, Preprocessing(crop=(28, 28), mode="RGB"), (28, 28, 3)).shape[2] == 3


def test_palette_with_transparency(tmp_path):
    image = picture(28, 28)[0].convert("P")
    image.save(tmp_path / "p.png", transparency=bytes(range(256)))
    assert prepare(tmp_path / "p.png", PLAIN, GREY).shape == GREY


@pytest.mark.parametrize("mode", ["I", "F", "I;16"])
def test_deep_pixels_are_refused(mode):
    message = refusal(Image.new(mode, (28, 28)))
    expected = f"image: pixel mode {mode} has more than 8 bits per channel: save it with 8"
    assert message == expected


def test_too_small():
    message = refusal(picture(27, 40)[0])
    assert message == (
        "image: 27x40 pixels (height x width) are fewer than the 28x28 that the network takes"
    )


def test_extreme_proportions():
    recipe = Preprocessing(crop=(28, 28), mode="L", resize=4096)
    message = refusal(Image.new("L", (60_000, 2)), recipe)
    assert "would be resized to 122880000x4096: the limit is 67108864 pixels" in message


def test_preprocessing_for_another_network():
    message = refusal(picture(28, 28)[0], PLAIN, (32, 32, 1))
    assert message == (
        "preprocessing gives (28, 28) pixels of mode L, the network takes"
        " (height, width, channels) (32, 32, 1)"
    )


def test_unreadable_files(tmp_path):
    absent = tmp_path / "absent.png"
    assert refusal(absent) == f"{absent}: no such file"
    assert refusal(tmp_path) == f"{tmp_path}: not a file"
    text = tmp_path / "text.png"
    text.write_text("not a picture at all")
    assert refusal(text) == f"{text}: cannot be read: not a picture"
    empty = tmp_path / "empty.png"
    empty.touch()
    assert refusal(empty) == f"{empty}: cannot be read: not a picture"


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "tiff"])
def test_damaged_files_never_give_a_traceback(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    picture(28, 28)[0].save(path)
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(1)
    for _ in range(60):
        damaged = data[: rng.integers(1, len(data))]
        damaged[rng.integers(len(damaged))] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            prepare(path, PLAIN, GREY)
        except UserError as error:
            assert re.match(rf"{re.escape(str(path))}: ", str(error))


def test_bombs(tmp_path, monkeypatch):
    picture(28, 28)[0].save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    assert "exceeds limit of 500 pixels" in refusal(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert "exceeds limit of" in refusal(tmp_path / "a.png")
