"""A small network, packaged, with images and golden's logits of them."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from boards.host.package import Package
from rtl.board import load_board
from rtl.compiler import compile_model
from rtl.compiler.package import package_of
from rtl.config import TINY, TINY_SELECT
from rtl.model.keep import original_tokens
from sim import golden
from sim.random_model import random_images, random_model


@dataclass(frozen=True, eq=False)
class Case:
    """A packaged network, images, and golden's output; for tokens also which of the image's."""

    package: Package
    images: np.ndarray
    logits: np.ndarray
    indices: np.ndarray | None = None


@cache
def selecting(images: int = 5) -> Case:
    """Make a network for TINY_SELECT, whose output is the tokens that are left of each image."""
    model = random_model(
        patch=7, width=16, blocks=((1, 16),) * 2, output="tokens", pool="all", keep={0: 5}
    )
    compiled = compile_model(model, TINY_SELECT)
    package = package_of(compiled, load_board("sim"), TINY_SELECT, "selecting.pulsar", golden.run)
    pixels, tensors = random_images(model.image, images), {}
    output = golden.run(model, pixels, tensors=tensors)
    return Case(package, pixels, output, original_tokens(tensors, model.shape, 2))


@cache
def small(seed: int = 0, images: int = 5) -> Case:
    """Make a network of one block for TINY; another one for another seed."""
    model = random_model(patch=14, width=16, blocks=((1, 16),), classes=3, seed=seed)
    package = package_of(
        compile_model(model, TINY), load_board("sim"), TINY, "small.pulsar", golden.run
    )
    pixels = random_images(model.image, images)
    return Case(package, pixels, golden.run(model, pixels))
