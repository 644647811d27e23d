"""The picture of maps: a row for each photograph, whole or not at all."""

import numpy as np
import pytest
from PIL import Image

from nas.vit.drawing import DPI, PANEL, Maps, draw

RNG = np.random.default_rng(0)


def maps(name: str, constant: bool = False) -> Maps:
    expected = np.zeros((8, 8), np.float32) if constant else RNG.random((8, 8), np.float32)
    pixels = RNG.integers(0, 256, (16, 16, 3)).astype(np.uint8)
    return Maps(name, pixels, expected, expected.copy())


@pytest.mark.parametrize("count", [1, 2])
def test_a_row_for_each_photograph(tmp_path, count):
    draw(tmp_path / "maps.png", [maps(str(index)) for index in range(count)])
    with Image.open(tmp_path / "maps.png") as image:
        assert image.size == (round(4 * PANEL * DPI), round(count * PANEL * DPI))


def test_colours_show_the_difference(tmp_path):
    same = maps("same")
    pixels, expected = same.pixels, same.expected
    draw(tmp_path / "same.png", [same])
    draw(tmp_path / "other.png", [Maps("same", pixels, expected, expected[::-1])])  # the same range
    images = []
    for name in ("same", "other"):
        with Image.open(tmp_path / f"{name}.png") as image:
            images.append(np.asarray(image.convert("RGB")).astype(int))
    changed = (np.abs(images[0] - images[1]) > 20).any((0, 2))
    quarter = len(changed) // 4
    assert not changed[: int(1.6 * quarter)].any(), "photograph and float"
    assert changed[2 * quarter : 3 * quarter].any() and changed[3 * quarter :].any()


def test_a_constant_map_is_drawn(tmp_path):
    draw(tmp_path / "maps.png", [maps("black", constant=True)])
    assert (tmp_path / "maps.png").stat().st_size > 1000


def test_nothing_half_written(tmp_path):
    with pytest.raises(TypeError):
        draw(tmp_path / "maps.png", [Maps("a", maps("b").pixels, None, None)])  # pyright: ignore
    assert not any(tmp_path.iterdir())
