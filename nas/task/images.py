"""Images of a part of a folder: in memory where they are few, else left in their files."""

from collections.abc import Callable
from math import prod
from pathlib import Path

import torch

from nas.data import Images, ImageSet
from nas.stored import StoredImages
from nas.task.parts import Part
from nas.task.pixels import Look, read_pixels
from nas.task.survey import survey
from rtl.errors import UserError

IN_MEMORY_BYTES = 10**9
"""Pixels of a part up to which it is read into memory, which trains faster where cores are few."""


def load_part(
    part: Part,
    look: Look,
    workers: int = 0,
    progress: Callable[[int], None] = lambda count: None,
    *,
    in_memory_bytes: int = IN_MEMORY_BYTES,
) -> tuple[Images, dict[Path, UserError]]:
    """Read a part's images, or only look at each where they are more than fit.

    Parameters
    ----------
    part : Part
    look : Look
    workers : int
        Processes that read ahead.
    progress : callable
        Is told how many more are done.
    in_memory_bytes : int

    Returns
    -------
    images : Images
        The readable ones.
    problems : dict of Path to UserError
        What is wrong with the others.
    """
    stored = len(part.files) * prod(look.image) > in_memory_bytes
    read = survey if stored else read_pixels
    found, problems = read(part.files, look, workers, progress)
    lost = {part.files[place]: error for place, error in problems.items()}
    if lost:
        part = part.without(set(lost))
    labels = torch.from_numpy(part.labels)
    if isinstance(found, torch.Tensor):
        return ImageSet(found, labels), lost
    images = StoredImages(part.files, labels, found, look.preprocessing, look.image, workers)
    return images, lost
