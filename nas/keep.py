"""Patches that blocks keep, as choices of a search space: shares or numbers, and their counts."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import ceil

from boards.host import checks

Keep = int | float
"""Patches that stay: a share of those that enter a block, below 1, or their number."""

SMALLEST_UNIT = 1 << 12  # denominators of shares are no larger: 0.1 of 10 is one, not two


def share_of(share: float, count: int) -> int:
    """Return a share of so many things, rounded up: one at least where the share is not 0."""
    found = ceil(Fraction(share).limit_denominator(SMALLEST_UNIT) * count)
    return max(found, min(count, 1)) if share else found


def kept_counts(keeps: Iterable[Keep | None], patches: int) -> list[int | None]:
    """Return the patches that stay behind each block; None where all of them do.

    Parameters
    ----------
    keeps : iterable of int, float or None
        Block by block, the first one first; None keeps all.
    patches : int
        Those that enter the first block.

    Returns
    -------
    list of int or None
        A number of patches keeps as many as there are, where there are fewer.
    """
    counts: list[int | None] = []
    for keep in keeps:
        count = patches
        if keep is not None:
            count = share_of(keep, patches) if keep < 1 else min(int(keep), patches)
        counts.append(count if count < patches else None)
        patches = count
    return counts


def check_keeps(keeps: Sequence[Keep], patches: int) -> None:
    """Check the choices of a space.

    Raises
    ------
    ValueError
        If they are neither shares nor numbers of an image's patches, or do not rise.
    """
    given = checks.shown(tuple(keeps))
    shares = all(0 < keep < 1 for keep in keeps)
    counts = all(keep >= 1 and keep % 1 == 0 for keep in keeps)
    if not (shares or counts) or list(keeps) != sorted(set(keeps)):
        raise ValueError(
            "keeps must be a rising list of shares between 0 and 1, or one of numbers of patches,"
            f" not {given}"
        )
    if counts and keeps[-1] >= patches:
        raise ValueError(
            f"keeps must be below {patches}, the patches of an image, not {given}: all of them are"
            " a choice anyhow"
        )
