"""Trials of aims for the rounding of 4-bit rows, on images that are left out.

Least squares make up for the error of everything in front of a layer, and overfit where the images
are few or the rows have 8 bits. So a third of the images is left out in turn, the network is
quantized with each aim on the others, and the aim that does best on what was left out is taken for
the final run on all images.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nas.importer.forward import forward, look, output
from nas.importer.network import FloatNetwork
from nas.importer.selection import noting, on_tokens
from nas.quantize.arrange import CHUNK_IMAGES
from nas.quantize.method import Method
from nas.quantize.network import QuantizedNetwork

FOLDS = 3
PIECES = 12
"""Runs of consecutive files that are left out together: crops of one image lie side by side."""


@dataclass(frozen=True)
class Trial:
    """A method, and its relative error on the images that were left out."""

    method: Method
    error: float


def candidates(method: Method) -> list[Method]:
    """List the aims to try: the results of the weights themselves, and least squares."""
    return [replace(method, least_squares=least_squares) for least_squares in (False, True)]


def left_out(images: int) -> list[Tensor]:
    """Say for each fold which images are left out, (images,) bool; some fold has each image."""
    piece = torch.arange(images) * min(PIECES, images) // images
    folds = min(FOLDS, images)
    return [piece % folds == fold for fold in range(folds)]


def tried(
    network: FloatNetwork,
    images: Tensor,
    method: Method,
    run: Callable[[Tensor, Method], QuantizedNetwork],
) -> list[Trial]:
    """Try all aims.

    Parameters
    ----------
    network : FloatNetwork
        What the results are compared with.
    images : (images, height, width, channels) uint8
        Two or more, in the order of their files.
    method : Method
    run : callable
        Quantizes the network on images by a method.

    Returns
    -------
    list of Trial
        The best one first.
    """
    trials = []
    for candidate in candidates(method):
        errors = [
            relative_error(network, run(images[~held], candidate), images[held])
            for held in left_out(len(images))
        ]
        trials.append(Trial(candidate, sum(errors) / len(errors)))
    return sorted(trials, key=lambda trial: trial.error)


@torch.no_grad()
def relative_error(network: FloatNetwork, done: QuantizedNetwork, images: Tensor) -> float:
    """Return the error of features or logits, relative in their root mean squares.

    The tokens that stay are those that the quantized network chooses.
    """
    error = size = 0.0
    for chunk in images.split(CHUNK_IMAGES):
        kept: dict[str, Tensor] = {}
        tap = done.codes.tap()
        found = output(done.network, forward(done.network, chunk, noting(kept, tap)), tap)
        wanted = output(network, forward(network, chunk, on_tokens(kept, look)))
        error += float((found - wanted).square().sum())
        size += float(wanted.square().sum())
    return (error / size) ** 0.5
