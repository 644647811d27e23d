"""The layout of an engine's memory: MODEL, then the images of a run, then their outputs."""

from __future__ import annotations

from dataclasses import dataclass

from boards.host.errors import UserError
from boards.host.package import ALIGNMENT, Package

PAGE = 4096  # bursts do not cross it: pages save a few cycles
BATCH = 64


@dataclass(frozen=True)
class Layout:
    """Places in memory, in bytes from its beginning.

    Parameters
    ----------
    images_at, outputs_at : int
        Of the first image and its output.
    image_stride, output_stride : int
        From one to the next.
    images : int
        How many there is room for.
    """

    images_at: int
    outputs_at: int
    image_stride: int
    output_stride: int
    images: int

    @property
    def bytes(self) -> int:
        """Bytes that all of it takes."""
        return self.outputs_at + self.images * self.output_stride

    @classmethod
    def of(cls, package: Package, memory_bytes: int, batch: int = BATCH) -> Layout:
        """Lay out a package's memory, at pages where that leaves room for a whole batch.

        Raises
        ------
        UserError
            If there is not room for one image.
        """
        for alignment in (PAGE, ALIGNMENT):
            layout = cls._aligned(package, memory_bytes, batch, alignment)
            if layout.images >= batch:
                return layout
        if layout.images < 1:
            wanted = cls._aligned(package, 1 << 62, 1, ALIGNMENT).bytes
            raise UserError(
                f"{package.model} and one image need {wanted:,} bytes of memory,"
                f" the device has {memory_bytes:,}: package a smaller one"
            )
        return layout

    @classmethod
    def wanted(cls, package: Package, batch: int = BATCH) -> int:
        """Bytes of memory for a whole batch."""
        return cls._aligned(package, 1 << 62, batch, PAGE).bytes

    @classmethod
    def _aligned(cls, package: Package, memory_bytes: int, batch: int, alignment: int) -> Layout:
        def rounded(count: int) -> int:
            return -(-count // alignment) * alignment

        images_at = rounded(len(package.region))
        image, output = rounded(package.image_bytes), rounded(package.output_bytes)
        images = max(0, min(batch, (memory_bytes - images_at) // (image + output)))
        return cls(images_at, images_at + images * image, image, output, images)
