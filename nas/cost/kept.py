"""Results in a file that only grows: costs, finished measurements, cells of modules."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from rtl.files import sha256_of

Json = Any


class KeptResults:
    """JSON values by key, in a file with a line for each.

    A line ends with a hash of itself, so one that was torn or damaged is left out, and its value
    is computed again. Processes may share the file: each appends whole lines, and begins a new one
    whatever the file ends with. As values can be computed again, a file that cannot be read or
    written is no error.

    Parameters
    ----------
    path : Path, optional
        The file; it need not exist. None keeps the values in memory alone.

    Attributes
    ----------
    values : dict of str to JSON value
        Values by key, a hash of all that decides them.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.values: dict[str, Json] = {}
        if path is None:
            return
        with suppress(OSError):
            for line in path.read_bytes().splitlines():
                content, _, check = line.rpartition(b" ")
                if check == _check(content):
                    key, value = json.loads(content)
                    self.values[key] = value

    def add(self, key: str, value: Json) -> None:
        """Keep a value."""
        self.values[key] = value
        if self.path is None:
            return
        content = json.dumps([key, value]).encode()
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                file.write(b"\n" + content + b" " + _check(content))


def _check(content: bytes) -> bytes:
    return sha256_of(content)[:8].encode()
