"""Random distortion of a whole batch at once: rotation, scale, shear, shift, elastic bending.

What is done to one picture at a time is in :mod:`nas.training.pictures`.
"""

from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor
from torch.nn import functional

from nas.numerics.device import moved_to
from nas.training.share import Share


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the distortions; each image draws its own, uniformly.

    Parameters
    ----------
    rotation : float
        Degrees, either way.
    scale, shear : float
        Fraction, either way.
    shift : float
        Pixels, either way and in both directions.
    elastic : float
        Standard deviation, in pixels, of the displacement of the knots of a 5 x 5 grid.
    padding : str
        Fill for pixels outside the image: ``"zeros"`` or ``"border"``.
    mirror : bool
        Whether half of the images are mirrored, left and right exchanged.
    crop : float
        Least share of a picture's area that a random crop keeps, which is then resized; 1 crops
        nothing.
    policy : str
        Changes as timm names them, such as ``"rand-m9-mstd0.5-inc1"``; none by default.
    colour : float
        Largest change of brightness, contrast and saturation, as a fraction.
    erasing : float
        Probability that a rectangle is replaced by noise.
    """

    rotation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    elastic: float = 0.0
    padding: str = "zeros"
    mirror: bool = False
    crop: float = 1.0
    policy: str = ""
    colour: float = 0.0
    erasing: float = 0.0

    KNOTS = 5

    @property
    def of_pictures(self) -> bool:
        """Whether single pictures are changed before they are a batch."""
        return self.crop < 1 or bool(self.policy or self.colour or self.erasing)

    @property
    def of_batches(self) -> bool:
        """Whether a batch is distorted."""
        distortions = self.rotation, self.scale, self.shear, self.shift, self.elastic, self.mirror
        return any(distortions)

    def __call__(
        self, images: Tensor, generator: torch.Generator, share: Share | None = None
    ) -> Tensor:
        """Distort (batch, height, width, channels) uint8 images: the same shape and type.

        Parameters
        ----------
        images : Tensor
            On any device.
        generator : torch.Generator
            The CPU's: draws are equal on all devices.
        share : Share, optional
            Place of the images in a larger batch, for all of which is drawn; by default all of it.
        """
        if not self.of_batches:
            return images
        batch, height, width, _ = images.shape
        share = share or Share.of(batch)
        matrices = self._matrices(share, height, width, generator)
        grid = functional.affine_grid(
            moved_to(matrices, images.device),
            [batch, 1, height, width],
            align_corners=False,
        )  # (batch, height, width, 2): x, y in -1 ... 1
        if self.elastic:
            knots = torch.randn(share.whole, 2, self.KNOTS, self.KNOTS, generator=generator)
            knots = knots[share.positions]
            knots *= self.elastic * torch.tensor([2 / width, 2 / height]).view(1, 2, 1, 1)
            bend = functional.interpolate(
                moved_to(knots, images.device),
                size=(height, width),
                mode="bicubic",
                align_corners=True,
            )
            grid += bend.permute(0, 2, 3, 1)
        moved = functional.grid_sample(
            images.permute(0, 3, 1, 2).float(),
            grid,
            padding_mode=self.padding,
            align_corners=False,
        )
        return moved.add_(0.5).clamp_(0, 255).permute(0, 2, 3, 1).to(torch.uint8)

    def _matrices(
        self, share: Share, height: int, width: int, generator: torch.Generator
    ) -> Tensor:
        """(share, 2, 3) affine maps from places in the result to places in the image."""
        u = (torch.rand(6, share.whole, generator=generator) * 2 - 1)[:, share.positions]
        angle = u[0] * self.rotation * pi / 180
        cos, sin = angle.cos(), angle.sin()
        scale_x, scale_y = 1 + u[1] * self.scale, 1 + u[2] * self.scale
        if self.mirror:
            mirrored = torch.rand(share.whole, generator=generator)[share.positions] < 0.5
            scale_x = torch.where(mirrored, -scale_x, scale_x)
        shear = u[3] * self.shear
        rows = [
            cos * scale_x,
            (cos * shear - sin) * scale_y,
            u[4] * self.shift * 2 / width,
            sin * scale_x,
            (sin * shear + cos) * scale_y,
            u[5] * self.shift * 2 / height,
        ]
        return torch.stack(rows, dim=1).view(-1, 2, 3)
