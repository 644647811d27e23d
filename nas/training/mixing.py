"""Mixup and cutmix of a batch, by timm, as a function of a seed."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from timm.data.mixup import Mixup
from torch import Tensor

from nas.training.recipe import TrainConfig


class Mixing:
    """Mixture of each image of a batch with the one at the mirrored position.

    One share, and one of the two ways, are drawn for the whole batch.

    Parameters
    ----------
    config : TrainConfig
        With mixup, cutmix, or both in turn.
    """

    def __init__(self, config: TrainConfig) -> None:
        self._mixup = Mixup(
            mixup_alpha=config.mixup,
            cutmix_alpha=config.cutmix,
            label_smoothing=0.0,  # the loss smooths
            num_classes=config.supernet.space.classes,
        )

    def __call__(self, pixels: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Mix (even, height, width, channels) uint8 pixels and (even,) labels.

        Returns pixels of the same shape and type, and (even, classes) float32 shares of the
        classes.
        """
        mixed = pixels.float()
        with _seeded(seed):
            # timm's order of axes, in the same memory: (even, channels, height, width).
            _, targets = self._mixup(mixed.permute(0, 3, 1, 2), labels)
        return mixed.add_(0.5).to(torch.uint8), targets


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed numpy's global generator, timm's source of chance, for a while."""
    before = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before)
