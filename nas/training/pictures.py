"""Augmentation of single pictures by timm: crops, policies of changes, colours, erased rectangles.

Each is a function of a seed: timm draws from three generators of the process, which are seeded for
each picture, and put back as they were.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from timm.data.random_erasing import RandomErasing
from timm.data.transforms_factory import transforms_imagenet_train

from nas.training.augment import Augmentation

Transform = Callable[[Image.Image], Image.Image]

WHITE = 255
DRAWS = 10  # of changes, until Pillow can do them


class PictureAugmentation:
    """The part of an augmentation that works on one picture at a time.

    Parameters
    ----------
    augmentation : Augmentation
    shape : tuple of int
        (height, width, channels) of the result.
    mean : tuple of int
        Per channel the pixel code that fills what a change uncovers; around it, what is erased.
    std : float
        Standard deviation of what is erased, in codes.

    Raises
    ------
    ValueError
        If timm does not know the policy.
    """

    def __init__(
        self,
        augmentation: Augmentation,
        shape: tuple[int, int, int],
        mean: tuple[int, ...],
        std: float,
    ) -> None:
        self.crops = augmentation.crop < 1
        self._mode = "L" if shape[2] == 1 else "RGB"
        self._mean, self._std = np.array(mean, np.float32), std
        colours = tuple(np.broadcast_to(mean, 3) / WHITE)
        try:
            steps = transforms_imagenet_train(
                shape[:2],
                scale=(augmentation.crop, 1.0),
                hflip=0.0,  # the whole batch's business
                color_jitter=augmentation.colour,
                force_color_jitter=True,
                auto_augment=augmentation.policy or None,
                interpolation="bilinear",
                mean=colours,
                separate=True,
            )
            self._crop, self._change, _ = cast(tuple[Transform, ...], steps)
        except (AssertionError, ValueError, LookupError) as error:
            raise ValueError(f"timm knows no policy {augmentation.policy!r}: {error}") from None
        self._erase = RandomErasing(augmentation.erasing, mode="pixel", device="cpu")

    def __call__(self, picture: Image.Image, seed: int) -> np.ndarray:
        """Change a picture: (height, width, channels) uint8.

        Parameters
        ----------
        picture : PIL.Image.Image
            Of any size where :attr:`crops` is true, else of the result's.
        seed : int
        """
        with _seeded(seed):
            picture = picture.convert("RGB")
            if self.crops:
                picture = self._crop(picture)
            pixels = np.array(self._changed(picture).convert(self._mode))
            return self._erased(pixels.reshape(*pixels.shape[:2], -1))

    def _changed(self, picture: Image.Image) -> Image.Image:
        for _ in range(DRAWS):
            # At its largest magnitude timm posterizes to 0 bits, which newer Pillows refuse.
            with suppress(ValueError):
                return self._change(picture)
        return picture

    def _erased(self, pixels: np.ndarray) -> np.ndarray:
        if not self._erase.probability:
            return pixels
        centred = (torch.from_numpy(pixels) - torch.from_numpy(self._mean)) / self._std
        self._erase(centred.permute(2, 0, 1))  # in place
        values = centred.numpy() * self._std + self._mean
        return values.round().clip(0, WHITE).astype(np.uint8)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the generators that timm and torchvision draw from, for a while."""
    before: tuple[Any, ...] = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])
