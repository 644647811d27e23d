"""A picture of the patches that a network keeps."""

import numpy as np
import pytest
from PIL import Image

from rtl.errors import UserError
from sim import golden
from sim.random_model import random_images, random_model
from sim.shown_tokens import CAPTION, MARGIN, check_file, draw_tokens, kept_patches

MODEL = random_model(
    image=(8, 12, 3), patch=4, width=16, head_dim=8, blocks=((2, 24),) * 3, registers=1,
    row_granularity=8, classes=3, keep={0: 4, 1: 1},
)  # fmt: skip
IMAGES = random_images(MODEL.image, 2, seed=1)


def test_patches_that_are_left_are_golden_s():
    for image in IMAGES:
        tensors = {}
        golden.run(MODEL, image[None], tensors=tensors)
        (first,), (second,) = (tensors[f"blocks.{block}.kept"] for block in (0, 1))
        found = kept_patches(MODEL, image)
        assert list(found) == [0, 1] and found[0].shape == (2, 3)
        assert np.flatnonzero(found[0]).tolist() == first[:4].tolist()
        assert np.flatnonzero(found[1]).tolist() == [first[second[0]]]


@pytest.mark.parametrize("channels", [1, 3])
def test_dropped_patches_are_dimmed_and_the_others_as_they_are(tmp_path, channels):
    model = random_model(
        image=(8, 12, channels), patch=4, width=16, head_dim=8, blocks=((2, 24),) * 2,
        row_granularity=8, keep={0: 2},
    )  # fmt: skip
    images = np.zeros_like(random_images(model.image, 2, seed=1))  # black: dimmed is brighter
    images[1] = random_images(model.image, 1, seed=2)[0] // 4
    path = tmp_path / "new" / "tokens.png"
    check_file(path, model)
    draw_tokens(path, model, images, ["a.png", "b.png"])
    sheet = np.asarray(Image.open(path)).astype(int)
    scale = 28  # 224 pixels of 8
    height, width = 8 * scale, 12 * scale
    assert sheet.shape == (2 * (height + CAPTION) + MARGIN, 2 * (width + MARGIN) + MARGIN, 3)
    for i, image in enumerate(images):
        y, left = i * (height + CAPTION) + CAPTION, kept_patches(model, image)[0]
        panels = [sheet[y : y + height, MARGIN + j * (width + MARGIN) :][:, :width] for j in (0, 1)]
        shown, kept = (panel[::scale, ::scale] for panel in panels)
        assert np.array_equal(shown, np.broadcast_to(image, (8, 12, 3)))
        there = left.repeat(4, 0).repeat(4, 1)
        assert np.array_equal(kept[there], shown[there])
        assert (kept[~there] > shown[~there] + 100).all()


def test_names_and_networks_that_cannot_be_drawn(tmp_path):
    with pytest.raises(UserError, match=r"--show-tokens .*a.jpg: a picture's name ends in .png"):
        check_file(tmp_path / "a.jpg", MODEL)
    with pytest.raises(UserError, match="the model keeps all of its patches: give one that selec"):
        check_file(tmp_path / "a.png", random_model())
