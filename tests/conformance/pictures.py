"""Image files, recipes of preprocessing, and the pixels that each recipe gives."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from boards.host.pictures import prepare
from rtl.files import atomic_write
from rtl.model import Preprocessing
from sim.random_model import random_images
from tests.conformance.arrays import write_arrays

GREY, COLOUR, PALETTE, TRANSPARENT, ANIMATED = (
    "grey.pgm", "colour.ppm", "palette.png", "transparent.png", "animated.gif"
)  # fmt: skip
RECIPES: tuple[tuple[str, dict[str, Any]], ...] = (
    (GREY, {"crop": [23, 31], "mode": "L"}),
    (GREY, {"crop": [20, 20], "mode": "RGB", "invert": True}),
    (COLOUR, {"crop": [20, 20], "mode": "L"}),
    (COLOUR, {"crop": [16, 16], "mode": "RGB", "resize": 16}),
    (COLOUR, {"crop": [16, 16], "mode": "RGB", "resize": 16, "interpolation": "bicubic"}),
    (COLOUR, {"crop": [40, 41], "mode": "RGB", "resize": 57, "interpolation": "bicubic"}),
    (COLOUR, {"crop": [22, 30], "mode": "L", "resize": 23, "invert": True}),
    (PALETTE, {"crop": [20, 20], "mode": "RGB"}),
    (TRANSPARENT, {"crop": [20, 20], "mode": "RGB"}),
    (ANIMATED, {"crop": [20, 20], "mode": "L"}),
    (COLOUR, {"crop": [20, 20], "mode": "RGB", "margin": "even"}),
    (COLOUR, {"crop": [22, 30], "mode": "L", "margin": "even"}),
    (GREY, {"crop": [30, 40], "mode": "L", "pad": 200, "invert": True}),
    (COLOUR, {"crop": [40, 20], "mode": "RGB", "pad": 7, "margin": "even"}),
    (COLOUR, {"crop": [18, 16], "mode": "RGB", "resize": [19, 18], "interpolation": "bicubic"}),
    (COLOUR, {"crop": [24, 24], "mode": "RGB", "resize": 13, "pad": 0, "margin": "even"}),
)
"""An image file and a header's ``preprocessing``; what is not said is the default."""


def write_preprocessing(folder: Path) -> None:
    """Write image files, the recipes as JSON, and the pixels that each recipe gives."""
    folder.mkdir(exist_ok=True)
    write_images(folder)
    recipes, arrays = [], {}
    for index, (image, given) in enumerate(RECIPES):
        recipe = recipe_of(given)
        shape = (*recipe.crop, 1 if recipe.mode == "L" else 3)
        arrays[str(index)] = prepare(folder / image, recipe, shape)
        recipes.append({"image": image, "preprocessing": recipe.header(), "pixels": str(index)})
    with atomic_write(folder / "recipes.json", "w") as file:
        json.dump(recipes, file, indent=1)
        file.write("\n")
    write_arrays(folder / "pixels.npz", arrays)


def recipe_of(given: dict[str, Any]) -> Preprocessing:
    """A header's ``preprocessing``, in which lists stand for tuples."""
    values: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in given.items()
    }
    return Preprocessing(**values)


def write_images(folder: Path) -> None:
    """Write one image of 23 x 31 pixels in each kind of file."""
    [pixels] = random_images((23, 31, 3), 1, seed=11)
    colour = Image.fromarray(pixels)
    grey = Image.fromarray(pixels[..., 0])
    palette = Image.fromarray(pixels[..., 1] >> 4, mode="P")
    palette.putpalette([value * 16 % 256 for value in range(48)])
    grey.save(folder / GREY)
    colour.save(folder / COLOUR)
    palette.save(folder / PALETTE, compress_level=0)
    with_alpha = Image.fromarray(np.dstack([pixels, pixels[..., :1]]))
    with_alpha.save(folder / TRANSPARENT, compress_level=0)
    grey.save(folder / ANIMATED, save_all=True, append_images=[Image.new("L", grey.size)])
