"""Damage to the bytes of a line: flips, losses, doublings."""

from collections.abc import Iterable

import numpy as np


class Damage:
    """Damages a byte now and then: flips a bit of it, loses it or doubles it.

    Parameters
    ----------
    generator : Generator
    at : iterable of int
        Numbers of the bytes.
    """

    def __init__(self, generator: np.random.Generator, at: Iterable[int]):
        self.generator, self.at = generator, set(at)
        self.count = self.done = 0

    def __call__(self, byte: int) -> tuple[int, ...]:
        self.count += 1
        if self.count - 1 not in self.at:
            return (byte,)
        self.done += 1
        kinds = ((byte ^ 1 << int(self.generator.integers(8)),), (), (byte, byte))
        return kinds[self.generator.integers(3)]
