"""Sizes that fit, told before anything is compiled; needs no torch."""

from math import isqrt

from rtl.errors import UserError
from rtl.model.shape import NetworkShape

TOKENS_MAX = 1024  # docs/format.md
CLASSES_MAX = 1 << 16
USUAL_SIZE = 224  # pixels


def check_tokens(name: str, sizes: NetworkShape) -> None:
    """Refuse too many tokens, with image sizes that fit: the largest one, and the usual one."""
    if sizes.tokens <= TOKENS_MAX:
        return
    patch, (height, width, _) = sizes.patch, sizes.image
    side = isqrt(TOKENS_MAX - (sizes.tokens - sizes.patches))
    usual = USUAL_SIZE % patch == 0 and USUAL_SIZE < side * patch
    raise UserError(
        f"{name}: {sizes.tokens:,} tokens at {height} x {width} pixels, at most {TOKENS_MAX:,} fit:"
        f" give --image-size {side * patch}, the largest that fits"
        + (f", or the usual --image-size {USUAL_SIZE}" if usual else "")
    )


def check_classes(name: str, sizes: NetworkShape) -> None:
    """Refuse more classes than a model's file holds."""
    if sizes.classes > CLASSES_MAX:
        raise UserError(
            f"{name}: {sizes.classes:,} classes, at most {CLASSES_MAX:,} fit: give --classes 0 for"
            " features without a classifier"
        )
