"""A look at each file of a large set: whether it can be read, and a hash of its content.

Files that were looked at before, by path, size and time, are known from a data base in the cache:
a million images take minutes once.
"""

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from boards.host.pictures import prepare
from nas.folder import INLINE, read_ahead
from nas.task.pixels import Look
from rtl.errors import UserError
from sim.toolchain.cache import cache_directory

BATCH = 64
KEPT_AT_ONCE = 4096  # files; each time waits for the disk
KNOWN = "images.sqlite"
TABLE = "files (path BLOB PRIMARY KEY, size INTEGER, time INTEGER, digest BLOB)"


def survey(
    files: Sequence[Path],
    look: Look,
    workers: int = 0,
    progress: Callable[[int], None] = lambda count: None,
) -> tuple[np.ndarray, dict[int, UserError]]:
    """Hash each file, and try to read each as an image.

    Parameters
    ----------
    files : sequence of Path
    look : Look
    workers : int
        Processes that read; none for few images.
    progress : callable
        Is told how many more are done.

    Returns
    -------
    digests : (readable files, 32) uint8
        SHA-256 of each file's content.
    problems : dict of int to UserError
        What is wrong with the others, by their places.
    """
    known = KnownFiles(cache_directory() / KNOWN)
    digests = known.digests(files)
    unknown = [place for place, digest in enumerate(digests) if digest is None]
    progress(len(files) - len(unknown))
    surveyed = _SurveyedFiles(tuple(files[place] for place in unknown), look)
    problems: dict[int, UserError] = {}
    places, found = iter(unknown), {}
    processes = workers if len(unknown) > INLINE else 0
    for batch in read_ahead(surveyed, processes, batch_size=BATCH):
        for each, place in zip(batch, places, strict=False):
            if isinstance(each, UserError):
                problems[place] = each
            else:
                digests[place] = found[files[place]] = each
        if len(found) >= KEPT_AT_ONCE:
            known.add(found.items())
            found = {}
        progress(len(batch))
    known.add(found.items())
    readable = b"".join(digest for digest in digests if digest is not None)
    return np.frombuffer(readable, np.uint8).reshape(-1, hashlib.sha256().digest_size), problems


@dataclass(frozen=True)
class _SurveyedFiles(Dataset):
    files: tuple[Path, ...]
    look: Look

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> bytes | UserError:
        try:
            prepare(self.files[index], self.look.preprocessing, self.look.image)
            return hashlib.sha256(self.files[index].read_bytes()).digest()
        except (UserError, OSError) as error:
            return error if isinstance(error, UserError) else UserError(str(error))


class KnownFiles:
    """Hashes of files that could be read as images, by path, size and time of change.

    As they can be computed again, a data base that cannot be read or written is no error.

    Parameters
    ----------
    path : Path
        The data base; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)

    def digests(self, files: Sequence[Path]) -> list[bytes | None]:
        """Return the hash of each file that is as it was; None for the others."""
        digests: list[bytes | None] = [None] * len(files)
        with suppress(sqlite3.Error), closing(sqlite3.connect(self.path)) as base:
            for place, file in enumerate(files):
                path, *state = _row(file)
                found = base.execute(
                    "SELECT size, time, digest FROM files WHERE path = ?", (path,)
                ).fetchone()
                if found and list(found[:2]) == state:
                    digests[place] = found[2]
        return digests

    def add(self, digests: Iterable[tuple[Path, bytes]]) -> None:
        """Keep hashes."""
        with suppress(sqlite3.Error), closing(sqlite3.connect(self.path)) as base, base:
            base.execute(f"CREATE TABLE IF NOT EXISTS {TABLE}")
            base.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)",
                [(*_row(file), digest) for file, digest in digests],
            )


def _row(file: Path) -> tuple[bytes, int, int]:
    """Path, size and time of change of a file; of one that is gone, none."""
    try:
        state = file.stat()
    except OSError:
        return os.fsencode(file), -1, -1
    return os.fsencode(file), state.st_size, state.st_mtime_ns
