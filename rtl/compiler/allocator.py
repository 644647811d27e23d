"""Allocation of the scratchpads that LOADs fill, at a point of the program.

Most are rings, taken and given back in the order of the program: one wraps inside an allocation
(weights), the others do not. Hazards between the old content and the new are found by
:mod:`rtl.compiler.synchronise`, not here.
"""

from collections import deque

from rtl.compiler.sizes import Plan


class Ring:
    """Space that is given back in the order in which it was taken.

    Parameters
    ----------
    words : int
        Capacity.
    wraps : bool
        Whether an allocation may continue at word 0.

    Attributes
    ----------
    floor : int
        The first word that may be taken; above 0, no allocation goes over the end.
    """

    def __init__(self, words: int, wraps: bool):
        self.words = words
        self.wraps = wraps
        self.floor = 0
        self.next = 0
        self.used = 0  # skipped words at the end included
        self._live: deque[list] = deque()  # [key, words taken, still needed]

    def _address(self, words: int) -> int:
        """Address at which the next allocation begins."""
        address = max(self.next, self.floor)
        may_wrap = self.wraps and self.floor == 0
        return address if may_wrap or address + words <= self.words else self.floor

    def _skip(self, words: int) -> int:
        """Words that are left unused in front of the next allocation."""
        return (self._address(words) - self.next) % self.words

    def fits(self, words: int) -> bool:
        """Whether ``words`` can be taken now."""
        if not self._live:
            return words <= self.words - self.floor
        return self.used + self._skip(words) + words <= self.words

    def take(self, words: int, key: object) -> int:
        """Reserve ``words``; returns the first one's address."""
        assert self.fits(words), (words, self.used, self.words)
        # In an empty ring nothing is between the end and the new place: skipped words are free.
        taken = words + (self._skip(words) if self._live else 0)
        address = self._address(words)
        self.next = (address + words) % self.words
        self.used += taken
        self._live.append([key, taken, True])
        return address

    def release(self, key: object) -> None:
        """Give back what was taken for ``key``, once everything older was given back too."""
        for entry in self._live:
            if entry[0] is key:
                entry[2] = False
        while self._live and not self._live[0][2]:
            self.used -= self._live.popleft()[1]


class Allocator:
    """Parts of the loaded scratchpads that are taken at a point of the program.

    Parameters
    ----------
    plan : Plan

    Attributes
    ----------
    weights, parameters, exponents : Ring
    gelu : list
        The request that has taken each of the two tables, or None.
    pixels : dict of int to (int, set)
        Per place of a token tile that was ever taken: the tile, and the requests that still
        need it.
    """

    def __init__(self, plan: Plan):
        engine = plan.engine
        self.plan = plan
        self.weights = Ring(engine.weight_words, wraps=True)
        self.parameters = Ring(engine.parameter_words, wraps=False)
        self.exponents = Ring(engine.exponent_words, wraps=False)
        self.gelu: list[object] = [None, None]
        self.pixels: dict[int, tuple[int, set[object]]] = {}
