"""Trials of aims for the rounding of 4-bit rows, on images that are left out.

Least squares make up for the error of everything in front of a layer, and overfit where the images
are few or the rows have 8 bits. So the network is quantized once with each aim on some images, and
the aim that does best on the others is taken for the final run on all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nas.importer.forward import forward, look, output
from nas.importer.network import FloatNetwork
from nas.quantize.arrange import CHUNK_IMAGES
from nas.quantize.method import Method
from nas.quantize.network import QuantizedNetwork

HELD_OUT = 4
"""One image in so many is left out: the last ones in the order of the files."""
RIDGES = (0.3, 1.0, 3.0)


@dataclass(frozen=True)
class Trial:
    """A method, and its relative error on the images that were left out."""

    method: Method
    error: float


def candidates(method: Method) -> list[Method]:
    """List the aims to try: the weights themselves, and least squares with several ridges."""
    plain = replace(method, least_squares=False)
    return [plain, *(replace(method, least_squares=True, ridge=ridge) for ridge in RIDGES)]


def best_method(
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
        In the order of their files, so that crops of one picture stay together.
    method : Method
    run : callable
        Quantizes the network on images by a method.

    Returns
    -------
    list of Trial
        The best one first.
    """
    left = max(1, len(images) // HELD_OUT)
    used, held = images[:-left], images[-left:]
    trials = []
    for candidate in candidates(method):
        done = run(used, candidate)
        trials.append(Trial(candidate, relative_error(network, done, held)))
    return sorted(trials, key=lambda trial: trial.error)


@torch.no_grad()
def relative_error(network: FloatNetwork, done: QuantizedNetwork, images: Tensor) -> float:
    """Return the error of features or logits, relative in their root mean squares."""
    error = size = 0.0
    for chunk in images.split(CHUNK_IMAGES):
        wanted, found = _result(network, chunk), _result(done.network, chunk, done)
        error += float((found - wanted).square().sum())
        size += float(wanted.square().sum())
    return (error / size) ** 0.5


def _result(network: FloatNetwork, images: Tensor, done: QuantizedNetwork | None = None) -> Tensor:
    tap = done.codes.tap() if done else look
    return output(network, forward(network, images, tap), tap)
