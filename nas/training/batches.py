"""Images of each training step, in the order that the seed decides, distorted."""

import numpy as np
import torch
from torch import Tensor

from nas.data import Images
from nas.training.recipe import TrainConfig


class Batches:
    """Batches of a training run. Each is a function of (seed, step), whatever came before it.

    Parameters
    ----------
    config : TrainConfig
    images : Images
        Training images.

    Attributes
    ----------
    steps_per_epoch : int
        Whole batches in the images, at least 1; what is left over differs from epoch to epoch.
    """

    def __init__(self, config: TrainConfig, images: Images) -> None:
        self.config, self.images = config, images
        self.steps_per_epoch = max(1, len(images) // config.batch)
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return (batch, height, width, channels) uint8 pixels, distorted, and (batch,) labels."""
        images = self.read(step)
        seed = np.random.SeedSequence([self.config.seed, 1, step]).generate_state(1)[0]
        generator = torch.Generator().manual_seed(int(seed))
        return self.config.augmentation(images.pixels, generator), images.labels

    def read(self, step: int) -> Images:
        """Return the images of a step as they are; those of steps in a row are asked for in turn.

        Images that lie on a disk are read ahead here: :mod:`nas.training.streamed`.
        """
        return self.images.take(self.positions(step))

    def positions(self, step: int) -> np.ndarray:
        """Return the positions of a step's images: (batch,) int64."""
        epoch, index = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            rng = np.random.default_rng([self.config.seed, 0, epoch])
            self._epoch, self._order = epoch, rng.permutation(len(self.images))
        return self._order[index * self.config.batch : (index + 1) * self.config.batch]
