"""The one preprocessing function: exact pixels, and a clear line for what it refuses."""

import re
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from boards.host.pictures import ENDINGS, FORMATS, SHOWN, prepare, prepare_all
from rtl.errors import UserError
from rtl.model import Preprocessing

GREY = (28, 28, 1)
PLAIN = Preprocessing(crop=(28, 28), mode="L")
RGB = Preprocessing(crop=(28, 28), mode="RGB")
KNOWN = "PNG, JPEG, GIF, BMP, WEBP, TIFF, PPM"


def random_image(height, width, channels=1, seed=0):
    shape = (height, width) if channels == 1 else (height, width, channels)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return Image.fromarray(pixels), pixels


def refusal(image, preprocessing=PLAIN, shape=GREY):
    with pytest.raises(UserError) as error:
        prepare(image, preprocessing, shape)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_same_size_is_copied_and_writable():
    image, pixels = random_image(28, 28)
    prepared = prepare(image, PLAIN, GREY)
    assert prepared.dtype == np.uint8 and prepared.flags.writeable
    np.testing.assert_array_equal(prepared[..., 0], pixels)


def test_file_and_image_give_the_same(tmp_path):
    image, pixels = random_image(30, 40, 3)
    image.save(tmp_path / "a.png")
    rgb = Preprocessing(crop=(28, 28), mode="RGB")
    from_file = prepare(tmp_path / "a.png", rgb, (28, 28, 3))
    np.testing.assert_array_equal(from_file, pixels[1:29, 6:34])
    np.testing.assert_array_equal(prepare(str(tmp_path / "a.png"), rgb, (28, 28, 3)), from_file)


def test_odd_margins_leave_more_below_and_right():
    image, pixels = random_image(31, 29)
    np.testing.assert_array_equal(prepare(image, PLAIN, GREY)[..., 0], pixels[1:29, 0:28])


def test_invert():
    image, pixels = random_image(28, 28)
    inverted = prepare(image, Preprocessing(crop=(28, 28), mode="L", invert=True), GREY)
    np.testing.assert_array_equal(inverted[..., 0], 255 - pixels)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width"), [(100, 75), (20, 33)])
def test_resize_keeps_proportions(interpolation, height, width):
    image, _ = random_image(height, width)
    recipe = Preprocessing(crop=(28, 28), mode="L", resize=32, interpolation=interpolation)
    filter_ = Image.Resampling[interpolation.upper()]
    size = (32, 42) if height > width else (52, 32)
    resized = np.asarray(image.resize(size, filter_))
    top, left = (size[1] - 28) // 2, (size[0] - 28) // 2
    expected = resized[top : top + 28, left : left + 28]
    np.testing.assert_array_equal(prepare(image, recipe, GREY)[..., 0], expected)


def test_a_pair_of_sizes_does_not_keep_proportions():
    image, _ = random_image(40, 50)
    recipe = Preprocessing(crop=(28, 28), mode="L", resize=(28, 29), interpolation="bicubic")
    resized = np.asarray(image.resize((29, 28), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(prepare(image, recipe, GREY)[..., 0], resized[:, :28])


@pytest.mark.parametrize(("surplus", "before"), [(1, 0), (2, 1), (3, 2), (5, 2), (7, 4)])
def test_even_margins(surplus, before):
    """Half the surplus, rounded to the even neighbour where it is between two numbers."""
    image, pixels = random_image(28 + surplus, 28)
    recipe = Preprocessing(crop=(28, 28), mode="L", margin="even")
    expected = pixels[before : before + 28]
    np.testing.assert_array_equal(prepare(image, recipe, GREY)[..., 0], expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_small_images_are_padded(channels):
    """25 rows get 1 above and 2 below; of 31 columns, 2 and 1 are cut off."""
    image, pixels = random_image(25, 31, channels)
    recipe = Preprocessing(
        crop=(28, 28), mode="L" if channels == 1 else "RGB", margin="even", pad=7, invert=True
    )
    expected = np.full((28, 28, channels), 255 - 7)
    expected[1:26] = 255 - pixels.reshape(25, 31, channels)[:, 2:30]
    np.testing.assert_array_equal(prepare(image, recipe, (28, 28, channels)), expected)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_modes_of_eight_bits_are_converted(mode):
    image = random_image(28, 28, 3)[0].convert(mode)
    assert prepare(image, PLAIN, GREY).shape == GREY
    assert prepare(image, Preprocessing(crop=(28, 28), mode="RGB"), (28, 28, 3)).shape[2] == 3


EXACT: dict[str, Any] = {"webp": {"lossless": True, "exact": True}}


def see_through(seed=0):
    """Red, green, blue and alpha; alpha has its least, its largest and middle values."""
    image, pixels = random_image(28, 28, 4, seed)
    pixels = np.array(image)
    pixels[0, :, 3], pixels[1, :, 3] = 0, 255
    return Image.fromarray(pixels), pixels.astype(int)


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp", None])
def test_what_is_transparent_is_on_white(tmp_path, suffix):
    image, pixels = see_through()
    if suffix:
        image.save(
            tmp_path / f"a.{suffix}",
            **EXACT.get(suffix, {}),
        )
    colour, alpha = pixels[..., :3], pixels[..., 3:]
    expected = (alpha * colour + (255 - alpha) * 255 + 127) // 255
    found = prepare(tmp_path / f"a.{suffix}" if suffix else image, RGB, (28, 28, 3))
    np.testing.assert_array_equal(found, expected)


def test_grey_on_white_and_then_inverted():
    grey = np.full((28, 28, 2), (0, 255), np.uint8)
    grey[:14, :, 1] = 0
    recipe = Preprocessing(crop=(28, 28), mode="L", invert=True)
    found = prepare(Image.fromarray(grey, "LA"), recipe, GREY)
    assert (found[:14] == 0).all() and (found[14:] == 255).all()


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_palettes_with_transparency(tmp_path, suffix):
    image = Image.fromarray(np.repeat(np.arange(28, dtype=np.uint8)[None], 28, 0), "P")
    image.putpalette([value for i in range(28) for value in (5 * i, i, 200 - i)])
    image.save(tmp_path / f"p.{suffix}", transparency=3)
    found = prepare(tmp_path / f"p.{suffix}", RGB, (28, 28, 3))
    assert found[0, 3].tolist() == [255, 255, 255] and found[0, 4].tolist() == [20, 4, 196]


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_colour_that_means_nothing_is_white(tmp_path, mode):
    image = Image.new(mode, (28, 28))
    image.putpixel((0, 0), 9 if mode == "L" else (9, 9, 9))
    image.save(tmp_path / "a.png", transparency=0 if mode == "L" else (0, 0, 0))
    found = prepare(tmp_path / "a.png", PLAIN, GREY)
    assert found[0, 0] == 9 and found.min() == 9 and (np.delete(found.ravel(), 0) == 255).all()


ORIENTATIONS = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright, 2).swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}
"""How a file holds an upright image: the camera was turned."""


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_orientation_is_honoured(tmp_path, suffix, orientation):
    upright = random_image(28, 30, 3)[1]
    exif = Image.Exif()
    exif[0x0112] = orientation
    held = Image.fromarray(np.ascontiguousarray(ORIENTATIONS[orientation](upright)))
    held.save(tmp_path / f"a.{suffix}", exif=exif, **EXACT.get(suffix, {}))
    found = prepare(tmp_path / f"a.{suffix}", RGB, (28, 28, 3))
    np.testing.assert_array_equal(found, upright[:, 1:29])


def test_exif_that_cannot_be_read_says_nothing(tmp_path):
    image = random_image(28, 28)[0]
    image.save(tmp_path / "a.jpg")
    image.save(tmp_path / "b.jpg", exif=b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x09\x01\x12")
    first, second = (prepare(tmp_path / name, PLAIN, GREY) for name in ("a.jpg", "b.jpg"))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("mode", ["I", "F", "I;16"])
def test_deep_pixels_are_refused(mode):
    message = refusal(Image.new(mode, (28, 28)))
    expected = f"image: pixel mode {mode} has more than 8 bits per channel: save it with 8"
    assert message == expected


def png(bits, colour, channels):
    """A PNG of 28 x 28 black pixels, by hand: Pillow writes no deep colour."""

    def chunk(kind, body):
        checked = kind + body
        return struct.pack(">I", len(body)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", 28, 28, bits, colour, 0, 0, 0)
    lines = zlib.compress(bytes(28 * (1 + 28 * channels * bits // 8)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", header), chunk(b"IDAT", lines), chunk(b"IEND", b"")]
    )


def tiff(bits, channels):
    """An uncompressed TIFF of 28 x 28 black pixels; grey or RGB."""
    pixels = bytes(28 * 28 * channels * bits // 8)
    samples_at = 8 + 2 + 9 * 12 + 4
    pixels_at = samples_at + 2 * channels
    interpretation = 1 if channels == 1 else 2
    entries = [
        (256, 4, 1, 28), (257, 4, 1, 28),
        (258, 3, channels, bits if channels == 1 else samples_at),
        (259, 3, 1, 1), (262, 3, 1, interpretation), (273, 4, 1, pixels_at),
        (277, 3, 1, channels), (278, 4, 1, 28), (279, 4, 1, len(pixels)),
    ]  # fmt: skip
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", *entry) for entry in entries
    )
    samples = struct.pack(f"<{channels}H", *[bits] * channels)
    return b"II*\0" + struct.pack("<I", 8) + directory + bytes(4) + samples + pixels


def ppm(magic, largest, channels):
    body = b"0 " * (784 * channels) if magic in (b"P2", b"P3") else bytes(2 * 784 * channels)
    return magic + b"\n28 28\n" + str(largest).encode() + b"\n" + body


GREY_PNG, RGB_PNG, GREY_ALPHA_PNG, RGBA_PNG = 0, 2, 4, 6
DEEP_FILES = {
    "grey.png": png(16, GREY_PNG, 1),
    "rgb.png": png(16, RGB_PNG, 3),
    "grey_alpha.png": png(16, GREY_ALPHA_PNG, 2),
    "rgba.png": png(16, RGBA_PNG, 4),
    "grey.tiff": tiff(16, 1),
    "rgb.tiff": tiff(16, 3),
    "float.tiff": tiff(32, 1),
    "grey.pgm": ppm(b"P5", 65535, 1),
    "ten_bits.pgm": ppm(b"P5", 1023, 1),
    "rgb.ppm": ppm(b"P6", 65535, 3),
    "ten_bits.ppm": ppm(b"P6", 1023, 3),
    "plain.ppm": ppm(b"P3", 65535, 3),
}


@pytest.mark.parametrize("name", DEEP_FILES)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_deep_files_are_refused(tmp_path, name, mode):
    path = tmp_path / name
    path.write_bytes(DEEP_FILES[name])
    recipe = Preprocessing(crop=(28, 28), mode=mode)
    message = refusal(path, recipe, (28, 28, 1 if mode == "L" else 3))
    assert re.search(r"(more than 8|(10|16|32)) bits per channel", message)
    assert message.startswith(f"{path}: ") and message.endswith(": save it with 8")


@pytest.mark.parametrize(
    ("name", "content"),
    {
        "rgb.png": png(8, RGB_PNG, 3),
        "two_bits.png": png(2, GREY_PNG, 1),
        "rgb.tiff": tiff(8, 3),
        "grey.tiff": tiff(8, 1),
        "rgb.ppm": ppm(b"P6", 255, 3),
        "few.ppm": ppm(b"P6", 100, 3),
    }.items(),
    ids=str,
)
def test_the_same_files_of_eight_bits_are_read(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    np.testing.assert_array_equal(prepare(path, PLAIN, GREY), np.zeros(GREY))


def test_deep_image_objects_that_are_open(tmp_path):
    path = tmp_path / "rgb.png"
    path.write_bytes(DEEP_FILES["rgb.png"])
    with Image.open(path) as image:
        assert "image: 16 bits per channel, at most 8 are read" in refusal(image)


def test_formats_that_are_not_named_are_refused(tmp_path):
    random_image(28, 28)[0].save(tmp_path / "a.sgi")
    assert refusal(tmp_path / "a.sgi").endswith(f"not an image of {KNOWN}")


@pytest.mark.parametrize("suffix", ["gif", "png", "tiff", "webp"])
def test_the_first_frame_counts(tmp_path, suffix):
    black, white = (Image.new("L", (28, 28), value) for value in (0, 255))
    path = tmp_path / f"frames.{suffix}"
    black.save(path, save_all=True, append_images=[white], lossless=True)
    assert prepare(path, PLAIN, GREY).max() == 0


def test_luma_follows_the_page():
    image, pixels = random_image(28, 28, 3)
    r, g, b = pixels.astype(int).transpose(2, 0, 1)
    luma = (19595 * r + 38470 * g + 7471 * b + 32768) >> 16
    np.testing.assert_array_equal(prepare(image, PLAIN, GREY)[..., 0], luma)


def test_too_small():
    message = refusal(random_image(27, 40)[0])
    assert message == (
        "image: 27x40 pixels (height x width) are fewer than the 28x28 that the network takes"
    )


def test_extreme_proportions():
    recipe = Preprocessing(crop=(28, 28), mode="L", resize=4096)
    message = refusal(Image.new("L", (60_000, 2)), recipe)
    assert "would be resized to 122880000x4096: the limit is 67108864 pixels" in message


def test_preprocessing_for_another_network():
    message = refusal(random_image(28, 28)[0], PLAIN, (32, 32, 1))
    assert message == (
        "preprocessing gives (28, 28) pixels of mode L, the network takes"
        " (height, width, channels) (32, 32, 1)"
    )


def test_unreadable_files(tmp_path):
    absent = tmp_path / "absent.png"
    assert refusal(absent) == f"{absent}: no such file"
    assert refusal(tmp_path) == f"{tmp_path}: not a file"
    text = tmp_path / "text.png"
    text.write_text("nothing that Pillow knows")
    assert refusal(text) == f"{text}: cannot be read: not an image of {KNOWN}"
    empty = tmp_path / "empty.png"
    empty.touch()
    assert refusal(empty) == f"{empty}: cannot be read: not an image of {KNOWN}"


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "tiff"])
def test_damaged_files_never_give_a_traceback(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    random_image(28, 28)[0].save(path)
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


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "tiff", "webp", "ppm"])
def test_files_that_are_cut_off_are_refused(tmp_path, suffix):
    """Also where all pixels can be guessed, as in a PNG of one colour."""
    for name, image in (("noise", random_image(28, 28)[0]), ("flat", Image.new("L", (28, 28)))):
        path = tmp_path / f"{name}.{suffix}"
        image.save(path)
        data = path.read_bytes()
        for missing in (20, len(data) // 2):
            path.write_bytes(data[:-missing])
            assert f"{path}: cannot be read: " in refusal(path)


def test_bombs(tmp_path, monkeypatch):
    random_image(28, 28)[0].save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    assert "exceeds limit of 500 pixels" in refusal(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert "exceeds limit of" in refusal(tmp_path / "a.png")


def test_several_files_and_all_that_is_wrong_with_them(tmp_path):
    names = [str(tmp_path / f"{i}.png") for i in range(4)]
    for i in (0, 2):
        random_image(28, 28, seed=i)[0].save(names[i])
    (tmp_path / "1.png").touch()
    told = []
    found = prepare_all([names[0], names[2]], PLAIN, GREY, lambda *step: told.append(step))
    expected = [prepare(names[0], PLAIN, GREY), prepare(names[2], PLAIN, GREY)]
    np.testing.assert_array_equal(found, expected)
    assert told == [(0, 2), (1, 2)]
    with pytest.raises(UserError) as error:
        prepare_all(names, PLAIN, GREY)
    assert str(error.value) == (
        f"2 images are of no use: {names[1]}: cannot be read: not an image of {KNOWN};"
        f" {names[3]}: no such file"
    )
    with pytest.raises(UserError, match=r"^\S*3.png: no such file$"):
        prepare_all(names[2:], PLAIN, GREY)
    with pytest.raises(UserError, match=f"{SHOWN + 2} images .*no such file; and 2 more$"):
        prepare_all([names[3]] * (SHOWN + 2), PLAIN, GREY)


def test_endings_are_those_that_pillow_has_for_the_formats():
    pillows = {end for end, kind in Image.registered_extensions().items() if kind in FORMATS}
    assert set(ENDINGS) <= pillows
    assert pillows - set(ENDINGS) <= {".pfm"}  # numbers with fractions: deeper than 8 bits
