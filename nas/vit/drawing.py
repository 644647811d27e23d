"""A picture of saliency maps: photograph, float, integer, and their difference."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rtl.files import atomic_write

PANEL = 3.2
"""Inches of a picture's side."""
DPI = 120
TITLES = ("photograph", "float", "integer, on the engine", "difference")


@dataclass(frozen=True, eq=False)
class Maps:
    """A photograph with its maps.

    Parameters
    ----------
    name : str
    pixels : (height, width, channels) uint8
    expected, found : (rows, columns) float32
        Of the float network and of the integer model.
    """

    name: str
    pixels: np.ndarray
    expected: np.ndarray
    found: np.ndarray


def draw(path: Path, maps: Sequence[Maps]) -> None:
    """Draw a row of pictures for each photograph.

    Float and integer share their colours, from the least to the most of the two; the difference
    has the same range on either side of 0.

    Parameters
    ----------
    path : Path
        PNG file; it appears whole or not at all.
    maps : sequence of Maps
    """
    figure = Figure(figsize=(PANEL * len(TITLES), PANEL * len(maps)), layout="constrained")
    axes = figure.subplots(len(maps), len(TITLES), squeeze=False)
    for row, each in zip(axes, maps, strict=True):
        _draw_row(figure, row, each)
    for axis, title in zip(axes[0], TITLES, strict=True):
        axis.set_title(title)
    FigureCanvasAgg(figure)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=DPI)


def _draw_row(figure: Figure, axes: Sequence[Axes], maps: Maps) -> None:
    both = np.stack([maps.expected, maps.found])
    low, high = float(both.min()), float(both.max())
    span = max(high - low, 1e-12)
    axes[0].imshow(maps.pixels)
    axes[0].set_ylabel(maps.name)
    for axis, one in zip(axes[1:3], both, strict=True):
        image = axis.imshow(one, cmap="viridis", vmin=low, vmax=high)
    figure.colorbar(image, ax=axes[2], fraction=0.046)
    difference = axes[3].imshow(
        maps.found - maps.expected, cmap="coolwarm", vmin=-span / 2, vmax=span / 2
    )
    figure.colorbar(difference, ax=axes[3], fraction=0.046)
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])
