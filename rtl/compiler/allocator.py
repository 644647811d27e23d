"""Two rings: one that wraps inside an allocation (weights), one that does not (everything else).

Both are filled and emptied in the order of the program; the hazards between the old content and
the new are found by :mod:`rtl.compiler.synchronise`, not here.
"""

from collections import deque


class Ring:
    """Space that is given back in the order in which it was taken.

    Parameters
    ----------
    words : int
        Capacity.
    wraps : bool
        Whether an allocation may continue at word 0.
    """

    def __init__(self, words: int, wraps: bool):
        self.words = words
        self.wraps = wraps
        self.next = 0
        self.used = 0  # skipped words at the end included
        self._live: deque[list] = deque()  # [key, words taken, still needed]

    def _skip(self, words: int) -> int:
        """Words that are left unused at the end."""
        return 0 if self.wraps or self.next + words <= self.words else self.words - self.next

    def fits(self, words: int) -> bool:
        if not self._live:
            return words <= self.words
        return self.used + self._skip(words) + words <= self.words

    def take(self, words: int, key: object) -> int:
        """Reserve ``words``; returns the first one's address."""
        assert self.fits(words), (words, self.used, self.words)
        skip = self._skip(words)
        if not self._live:
            self.used, skip_counted = 0, 0
        else:
            skip_counted = skip
        if skip:
            self.next = 0
        address = self.next
        self.next = (self.next + words) % self.words
        self.used += words + skip_counted
        self._live.append([key, words + skip_counted, True])
        return address

    def release(self, key: object) -> None:
        """Give back what was taken for ``key``, once everything older was given back too."""
        for entry in self._live:
            if entry[0] is key:
                entry[2] = False
        while self._live and not self._live[0][2]:
            self.used -= self._live.popleft()[1]
