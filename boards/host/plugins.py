"""Plugins: what other packages offer under a name, by the entry points of their metadata."""

from __future__ import annotations

from importlib import metadata
from typing import Any


def offered(group: str) -> dict[str, Any]:
    """Entry points of a group by their name; ``load()`` gives the object of each."""
    found: Any = metadata.entry_points()
    # Up to Python 3.9 a dict of lists.
    chosen = found.select(group=group) if hasattr(found, "select") else found.get(group, ())
    return {each.name: each for each in chosen}
