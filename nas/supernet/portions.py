"""Images that are run at a time: few where a network is large, so that memory has a bound.

Networks of the digits' size run as many as anyone asks for, in one piece.
"""

from rtl.model.shape import NetworkShape

FORWARD_VALUES = 1 << 23
"""Values of the largest tensor of a forward pass that keeps none."""
KEPT_VALUES = 1 << 26
"""Values of all tensors where all are kept: for gradients, or to be compared."""


def forward_images(shape: NetworkShape, most: int) -> int:
    """Return how many of ``most`` images go through a network at a time: one at least."""
    largest = max(
        shape.tokens * max(block.hidden, block.heads * shape.tokens) for block in shape.blocks
    )
    return max(1, min(most, FORWARD_VALUES // largest))


def kept_images(shape: NetworkShape, most: int, values: int = KEPT_VALUES) -> int:
    """Likewise where all tensors of the images are kept: ``values`` of them."""
    # Nine tensors of a block are as wide as the residual stream, two as the MLP, two are scores.
    per_image = sum(
        shape.tokens * (9 * shape.width + 2 * block.hidden + 2 * block.heads * shape.tokens)
        for block in shape.blocks
    )
    return max(1, min(most, values // per_image))
