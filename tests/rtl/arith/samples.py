"""Values to try: the limits of a shape, and random ones."""

import random

from amaranth.hdl import Shape


def limits(shape: Shape) -> tuple[int, int]:
    """Smallest and largest value of a shape."""
    low = -(1 << (shape.width - 1)) if shape.signed else 0
    return low, low + (1 << shape.width) - 1


def samples(rng: random.Random, shape: Shape, count: int) -> list[int]:
    """Both limits of a shape, and random values."""
    return [*limits(shape), *(rng.randint(*limits(shape)) for _ in range(count - 2))]
