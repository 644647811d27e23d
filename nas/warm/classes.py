"""Classes of a trained network and those of a task."""

from collections.abc import Sequence


def class_rows(known: Sequence[str], count: int, wanted: Sequence[str]) -> list[int] | None:
    """Find the rows of a classifier that are some classes, in their order; None where they differ.

    Parameters
    ----------
    known : sequence of str
        Classes of the rows; where there are no names, equally many classes are the same.
    count : int
        Number of rows.
    wanted : sequence of str
    """
    if count != len(wanted):
        return None
    if not known:
        return list(range(count))
    if sorted(known) != sorted(wanted):
        return None
    return [list(known).index(name) for name in wanted]
