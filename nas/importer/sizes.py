"""Sizes that fit, told before anything is compiled; needs no torch."""

from math import isqrt

from rtl.errors import UserError
from rtl.model.shape import NetworkShape

TOKENS_MAX = 1024  # docs/format.md
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
