"""Draw pictures of shapes, to try ``python -m nas.search --data`` with.

``python examples/shapes.py FOLDER`` makes a folder for each of eight classes, with 50 pictures of
64 x 64 pixels in each: always the same ones. A class has its shape and its hues, which overlap with
those of its neighbours; the ground is cloudy.
"""

import sys
from collections.abc import Callable
from colorsys import hsv_to_rgb
from math import cos, pi, sin
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE, COUNT, SEED = 64, 50, 0
HUE_SPREAD = 0.05  # standard deviation; classes are 1/8 apart
SHARP = 4  # times the side: drawn larger, then made smaller

Draw = Callable[[ImageDraw.ImageDraw, float, float, float, tuple], None]
"""Draws a shape: drawing, centre x and y, radius, colour."""


def corners(count: int, inner: float = 1.0, turn: float = -pi / 2) -> Draw:
    """Make a shape with corners; every second one at ``inner`` of the radius."""

    def draw(drawing: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: tuple):
        sides = count if inner == 1.0 else 2 * count
        lengths = [radius * (inner if side % 2 and inner != 1.0 else 1.0) for side in range(sides)]
        angles = [turn + 2 * pi * side / sides for side in range(sides)]
        points = [(x + r * cos(a), y + r * sin(a)) for r, a in zip(lengths, angles, strict=True)]
        drawing.polygon(points, fill=colour)

    return draw


def disc(drawing: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: tuple) -> None:
    drawing.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)


def ring(drawing: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: tuple) -> None:
    box = [x - radius, y - radius, x + radius, y + radius]
    drawing.ellipse(box, outline=colour, width=max(1, round(radius / 3)))


def cross(drawing: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: tuple) -> None:
    arm = radius / 3
    drawing.rectangle([x - radius, y - arm, x + radius, y + arm], fill=colour)
    drawing.rectangle([x - arm, y - radius, x + arm, y + radius], fill=colour)


def bars(drawing: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: tuple) -> None:
    for place in (-1.0, -0.2, 0.6):
        top = y + place * radius
        drawing.rectangle([x - radius, top, x + radius, top + 0.4 * radius], fill=colour)


SHAPES: dict[str, Draw] = {
    "bars": bars,
    "cross": cross,
    "disc": disc,
    "hexagon": corners(6),
    "ring": ring,
    "square": corners(4, turn=-pi / 4),
    "star": corners(5, inner=0.4),
    "triangle": corners(3),
}


def picture(draw: Draw, hue: float, rng: np.random.Generator) -> Image.Image:
    """Draw one picture, in a hue near ``hue`` (0 to 1), on a ground that is not even."""
    side = SIDE * SHARP
    tone = rng.integers(40, 216, 3)
    ground = (tone + rng.integers(-24, 25, (4, 4, 3))).astype(np.uint8)
    image = Image.fromarray(ground).resize((side, side), Image.Resampling.BICUBIC)
    image = image.filter(ImageFilter.GaussianBlur(SHARP))
    radius = side * rng.uniform(0.28, 0.4)
    x, y = side / 2 + rng.uniform(-0.08, 0.08, 2) * side
    tint = (hue + rng.normal(0, HUE_SPREAD)) % 1
    colour = hsv_to_rgb(tint, rng.uniform(0.6, 1), rng.uniform(0.4, 1))
    draw(ImageDraw.Draw(image), x, y, radius, tuple(round(255 * value) for value in colour))
    return image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def main(folder: Path, count: int = COUNT) -> None:
    """Write ``count`` pictures of each class."""
    for number, (name, draw) in enumerate(SHAPES.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            rng = np.random.default_rng([SEED, number, index])
            picture(draw, number / len(SHAPES), rng).save(folder / name / f"{index:03}.png")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/shapes.py FOLDER")
    main(Path(sys.argv[1]))
