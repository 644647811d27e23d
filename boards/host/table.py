"""The table of a run: an image a line, as text of any terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from boards.host.meaning import FeatureMeaning, LogitMeaning

LEFT = ("image", "class")


def title(model: str, board: str, clock_hz: int) -> str:
    """Head a table with the model, the board and its clock."""
    return f"{model} on board {board}, {clock_hz / 1e6:g} MHz"


def results(
    heading: str,
    meaning: LogitMeaning | FeatureMeaning,
    names: Sequence[str],
    outputs: np.ndarray,
    cycles: Sequence[float],
    clock_hz: int,
) -> str:
    """Make the table of images that an engine has run.

    Parameters
    ----------
    heading : str
    meaning : LogitMeaning or FeatureMeaning
    names : sequence of str
        Of the images.
    outputs : (images, ...) int32
        As ``meaning.decode`` gives them.
    cycles : sequence of float
        Of each image: the first one's from the start, any other one's from the end of the one
        before.
    clock_hz : int

    Returns
    -------
    str
        Lines with a line break behind each.
    """
    headings = ("image", *meaning.headings, "cycles", "frames/s")
    rows = [
        (name, *meaning.cells(output), f"{count:,.0f}", f"{clock_hz / count:,.0f}")
        for name, output, count in zip(names, outputs, cycles)
    ]
    lines = [heading, *aligned([headings, *rows], [heading in LEFT for heading in headings])]
    return "\n".join(lines) + "\n"


def aligned(rows: Sequence[Sequence[str]], left: Sequence[bool]) -> list[str]:
    """Return rows of texts as lines; a rule follows the first one."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [
        "  ".join(
            text.ljust(width) if side else text.rjust(width)
            for text, width, side in zip(row, widths, left)
        ).rstrip()
        for row in rows
    ]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]
