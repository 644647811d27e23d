"""Images of each training step, in the order that the seed decides, distorted."""

import numpy as np
import torch
from torch import Tensor

from nas.data import Images
from nas.numerics.device import moved_to
from nas.training.mixing import Mixing
from nas.training.processes import ALONE, Processes
from nas.training.recipe import TrainConfig


class Batches:
    """Batches of a training run. Each is a function of (seed, step), whatever came before it.

    Parameters
    ----------
    config : TrainConfig
    images : Images
        Training images.
    processes : Processes
        This process gets its share of each batch, on its device.

    Attributes
    ----------
    share : Share
        Positions in each batch that this process computes.
    steps_per_epoch : int
        Whole batches in the images, at least 1; what is left over differs from epoch to epoch.
    """

    def __init__(self, config: TrainConfig, images: Images, processes: Processes = ALONE) -> None:
        self.config, self.images, self.processes = config, images, processes
        self._mix = Mixing(config) if config.mixup or config.cutmix else None
        batch = min(config.batch, len(images))
        if self._mix:
            batch -= batch % 2
        self.share = processes.share(batch)
        self.steps_per_epoch = max(1, len(images) // config.batch)
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return a step's images, distorted, and their classes.

        Returns
        -------
        Tensor
            (share, height, width, channels) uint8.
        Tensor
            (share,) int64; with mixup or cutmix (share, classes) float32, shares of the classes.
        """
        images = self.read(step)
        pixels = moved_to(images.pixels, self.processes.device)
        labels = moved_to(images.labels, self.processes.device)
        seed, more = map(int, np.random.SeedSequence([self.config.seed, 1, step]).generate_state(2))
        generator = torch.Generator().manual_seed(seed)
        pixels = self.config.augmentation(pixels, generator, self.share)
        return self._mix(pixels, labels, more) if self._mix else (pixels, labels)

    def read(self, step: int) -> Images:
        """Return the images of a step as they are; those of steps in a row are asked for in turn.

        Images that lie on a disk are read ahead here: :mod:`nas.training.streamed`.
        """
        return self.images.take(self.positions(step))

    def positions(self, step: int) -> np.ndarray:
        """Return the positions of this process's images of a step: (share,) int64."""
        epoch, index = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            rng = np.random.default_rng([self.config.seed, 0, epoch])
            self._epoch, self._order = epoch, rng.permutation(len(self.images))
        return self._order[index * self.config.batch + self.share.positions.numpy()]
