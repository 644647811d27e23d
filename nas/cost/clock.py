"""How long a campaign's stages took, all its runs together."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rtl.errors import UserError
from rtl.files import atomic_write


class Clock:
    """Seconds by stage, in a file: an interrupted campaign goes on counting where it was.

    Parameters
    ----------
    path : Path
        Read if it is there.

    Raises
    ------
    UserError
        If it cannot be read.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            self.seconds = json.loads(path.read_text()) if path.is_file() else {}
        except ValueError as error:
            raise UserError(f"{path}: damaged: {error}: delete it") from None

    @property
    def total(self) -> float:
        """Of all stages."""
        return round(sum(self.seconds.values()), 1)

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[], None]]:
        """Count the seconds of the block; call what it gives to note them meanwhile."""
        before, started = self.seconds.get(name, 0.0), time.monotonic()

        def note() -> None:
            self.seconds[name] = round(before + time.monotonic() - started, 1)
            with atomic_write(self.path, "w") as file:
                json.dump(self.seconds, file)

        try:
            yield note
        finally:
            note()
