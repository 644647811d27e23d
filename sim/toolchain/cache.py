"""The folder that keeps builds, and a lock that lets one process make what several want."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_directory() -> Path:
    """Return ``$PULSAR_CACHE``, or ``~/.cache/pulsar-vit``."""
    return Path(os.environ.get("PULSAR_CACHE") or Path.home() / ".cache" / "pulsar-vit")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock on a file, made if missing, while the block runs; wait for it if need be.

    The kernel releases it even if the process is killed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
