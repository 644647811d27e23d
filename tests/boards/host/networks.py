"""A small network, packaged, with images and golden's logits of them."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from boards.host.package import Package
from rtl.board import load_board
from rtl.compiler import compile_model
from rtl.compiler.package import package_of
from rtl.config import TINY
from sim import golden
from sim.random_model import random_images, random_model


@dataclass(frozen=True, eq=False)
class Case:
    """A packaged network."""

    package: Package
    images: np.ndarray
    logits: np.ndarray


@cache
def small(seed: int = 0, images: int = 5) -> Case:
    """Make a network of one block for TINY; another one for another seed."""
    model = random_model(patch=14, width=16, blocks=((1, 16),), classes=3, seed=seed)
    package = package_of(
        compile_model(model, TINY), load_board("sim"), TINY, "small.pulsar", golden.run
    )
    pixels = random_images(model.image, images)
    return Case(package, pixels, golden.run(model, pixels))
