"""Images of each training step, read from their files by processes that work ahead."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch.utils.data import DataLoader, Dataset

from boards.host.pictures import prepare
from nas.data import Images, ImageSet
from nas.folder import leave_interrupts
from nas.stored import StoredImages, stacked
from nas.training.batches import Batches
from nas.training.processes import ALONE, Processes
from nas.training.recipe import TrainConfig
from rtl.errors import UserError


class StreamedBatches(Batches):
    """Batches of images in files. They are the same as those of the same images in memory.

    Steps in a row are read ahead; any other step begins anew there.

    Parameters
    ----------
    config : TrainConfig
    images : StoredImages
        Training images.
    processes : Processes
        This process reads its share of each batch.
    """

    def __init__(
        self, config: TrainConfig, images: StoredImages, processes: Processes = ALONE
    ) -> None:
        super().__init__(config, images, processes)
        self.files = images
        self._step = -1
        self._ahead: deque[np.ndarray] = deque()  # positions of the steps that are being read
        self._read: Iterator[list[np.ndarray | UserError]] = iter(())

    def read(self, step: int) -> ImageSet:
        """Return the images of a step as they are.

        Raises
        ------
        UserError
            If an image cannot be read any more: names it.
        """
        if step != self._step:
            self._begin(step)
        pixels = stacked(next(self._read))
        self._step += 1
        return ImageSet(pixels, self.files.labels[self._ahead.popleft()])

    def _begin(self, step: int) -> None:
        """Let the processes read from a step on."""
        self._step = step
        self._ahead.clear()
        self._read = iter(
            DataLoader(
                StepFiles(self.files),
                batch_sampler=self._steps(step),
                num_workers=self.files.workers,
                collate_fn=list,
                worker_init_fn=leave_interrupts,
            )
        )

    def _steps(self, step: int) -> Iterator[list[int]]:
        while True:
            self._ahead.append(self.positions(step))
            yield self._ahead[-1].tolist()
            step += 1


@dataclass(frozen=True)
class StepFiles(Dataset):
    """Training images by their position, or what is wrong with them."""

    images: StoredImages

    def __getitem__(self, position: int) -> np.ndarray | UserError:
        images = self.images
        try:
            return prepare(images.files[position], images.preprocessing, images.shape)
        except UserError as error:
            return error


def batches_of(config: TrainConfig, images: Images, processes: Processes = ALONE) -> Batches:
    """Make the batches of a run, wherever its images are."""
    kind = StreamedBatches if isinstance(images, StoredImages) else Batches
    return kind(config, images, processes)
