"""The keys that docs/json.md names, and those that a file has."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parents[1] / "docs" / "json.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return re.split(r"^## ", PAGE.partition(f"\n## {title}\n")[2], flags=re.MULTILINE)[0]


def keys(title: str) -> set[str]:
    """Those of a section's table."""
    return set(re.findall(r"^\| `([^`]+)` \|", section(title), re.MULTILINE))


def leads(path: str, known: set[str]) -> bool:
    """Whether a path is documented, or something below it is."""
    return any(key == path or key.startswith((f"{path}.", f"{path}[]")) for key in known)


def found(value: Any, known: set[str], path: str = "") -> Iterator[str]:
    """Paths to all values, as the page writes them; what it does not know, too."""
    inner = value if isinstance(value, dict | list) else ()
    if path in known or not (inner or leads(path, known)):
        yield path
    for name in inner:
        if isinstance(value, list):
            yield from found(name, known, f"{path}[]")
        else:
            below = f"{path}.{name}".lstrip(".")
            yield from found(value[name], known, below if leads(below, known) else f"{path}.*")
