"""Images of each training step, read and changed one by one, by processes that work ahead."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from boards.host.pictures import open_picture, prepare
from nas.data import Images, ImageSet
from nas.folder import read_ahead
from nas.stored import StoredImages, stacked
from nas.training.batches import Batches
from nas.training.pictures import PictureAugmentation
from nas.training.processes import ALONE, Processes
from nas.training.recipe import TrainConfig
from rtl.errors import UserError


class StreamedBatches(Batches):
    """Batches of images in files, or of pictures that are changed one by one.

    Unchanged, they are the same as those of the same images in memory. Steps in a row are read
    ahead; any other step begins anew there.

    Parameters
    ----------
    config : TrainConfig
    images : Images
        Training images.
    processes : Processes
        This process reads its share of each batch.
    """

    def __init__(self, config: TrainConfig, images: Images, processes: Processes = ALONE) -> None:
        super().__init__(config, images, processes)
        self._step = -1
        self._ahead: deque[np.ndarray] = deque()  # positions of the steps that are being read
        self._read: Iterator[list[np.ndarray | UserError]] = iter(())

    def read(self, step: int) -> ImageSet:
        """Return the images of a step, before the batch as a whole is distorted.

        Raises
        ------
        UserError
            If an image cannot be read any more: names it.
        """
        if step != self._step:
            self._begin(step)
        pixels = stacked(next(self._read))
        self._step += 1
        return ImageSet(pixels, self.images.labels[self._ahead.popleft()])

    def _begin(self, step: int) -> None:
        """Let the processes read from a step on."""
        self._step = step
        self._ahead.clear()
        pictures = StepPictures(self.images, self._augmentation(), self.config.seed)
        workers = getattr(self.images, "workers", 0)
        self._read = read_ahead(pictures, workers, batch_sampler=self._steps(step))

    def _augmentation(self) -> PictureAugmentation | None:
        if not self.config.augmentation.of_pictures:
            return None
        supernet = self.config.supernet
        return PictureAugmentation(
            self.config.augmentation, supernet.space.image, supernet.pixel_mean, supernet.pixel_std
        )

    def _steps(self, step: int) -> Iterator[list[tuple[int, int]]]:
        while True:
            self._ahead.append(self.positions(step))
            yield [(step, position) for position in self._ahead[-1].tolist()]
            step += 1


@dataclass(frozen=True)
class StepPictures(Dataset):
    """Training images by step and position, or what is wrong with them.

    Parameters
    ----------
    images : Images
    augmentation : PictureAugmentation, optional
        What is done to each.
    seed : int
        Of the run; with step and position, it decides what is drawn.
    """

    images: Images
    augmentation: PictureAugmentation | None
    seed: int

    def __getitem__(self, key: tuple[int, int]) -> np.ndarray | UserError:
        step, position = key
        try:
            if self.augmentation is None:
                return self._prepared(position)
            seeds = np.random.SeedSequence([self.seed, 5, step, position])
            return self.augmentation(self._picture(position), int(seeds.generate_state(1)[0]))
        except UserError as error:
            return error

    def _prepared(self, position: int) -> np.ndarray:
        """Return (height, width, channels) uint8."""
        if isinstance(self.images, StoredImages):
            file = self.images.files[position]
            return prepare(file, self.images.preprocessing, self.images.shape)
        return self.images.pixels[position].numpy()

    def _picture(self, position: int) -> Image.Image:
        """Return what is to be changed: a crop is taken from the file's whole picture."""
        if self.augmentation and self.augmentation.crops and isinstance(self.images, StoredImages):
            return open_picture(self.images.files[position], self.images.preprocessing.mode)
        pixels = self._prepared(position)
        return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def batches_of(config: TrainConfig, images: Images, processes: Processes = ALONE) -> Batches:
    """Make the batches of a run, wherever its images are."""
    streamed = isinstance(images, StoredImages) or config.augmentation.of_pictures
    return (StreamedBatches if streamed else Batches)(config, images, processes)
