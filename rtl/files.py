"""Files and directories that appear whole or not at all, and hashes of their content."""

import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from rtl.errors import UserError


@contextmanager
def atomic_write(path: Path | str, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a file that replaces ``path`` only when the block ends without an exception.

    The data goes to a temporary file beside ``path``, reaches the disk, and is renamed. A crash,
    an exception or Ctrl-C leaves an older ``path`` as it was. Missing parent directories are made.

    Parameters
    ----------
    path : Path or str
        The file to write.
    mode : str
        ``"wb"`` for bytes, ``"w"`` for UTF-8 text.

    Raises
    ------
    OSError
        If the file cannot be written; ``filename`` is the path that was asked for.
    """
    if mode not in ("wb", "w"):
        raise ValueError(f"mode must be 'wb' or 'w', not {mode!r}")
    path = Path(path)
    temporary = _beside(path)
    _make_folder(path.parent)
    try:
        with _errors_name(path, temporary):
            with temporary.open(mode, encoding=None if "b" in mode else "utf-8") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path | str) -> Iterator[Path]:
    """Fill a directory that becomes ``path`` only when the block ends without an exception.

    If another process has made ``path`` in the meantime, theirs stays and this one is discarded:
    meant for content-addressed caches, where both are equal.
    """
    path = Path(path)
    _make_folder(path.parent)
    temporary = _beside(path)
    with _errors_name(path, temporary):
        temporary.mkdir()
    try:
        yield temporary
        try:
            temporary.rename(path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require_writable(path: Path | str) -> None:
    """Find out before long work, not after it, whether a file can be written later.

    Makes missing parent directories, and otherwise leaves everything as it was.

    Raises
    ------
    OSError
        If not, as :func:`atomic_write` would raise it.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    _make_folder(path.parent)
    temporary = _beside(path)
    with _errors_name(path, temporary):
        temporary.touch()
        temporary.unlink()


def require_results(
    results: Iterable[Path | str | None], inputs: Iterable[Path | str | None] = ()
) -> None:
    """Find out before long work whether a command's results can be written and replace no input.

    Parameters
    ----------
    results : iterable of Path or str, or None
        Files to write. None stands for one that was not asked for.
    inputs : iterable of Path or str, or None
        Files that the command reads, or names that may be files, such as a board's.

    Raises
    ------
    UserError
        If a result is one of the inputs, or another result.
    OSError
        As :func:`require_writable` has it.
    """
    given = [path for path in results if path is not None]
    taken = {os.path.realpath(path): "reads this file itself" for path in inputs if path}
    for path in given:
        place = os.path.realpath(path)
        if place in taken:
            raise UserError(
                f"{path} cannot be written: the command {taken[place]}: give another name"
            )
        taken[place] = "writes another result there"
    for path in given:
        require_writable(path)


def require_space(folder: Path | str, megabytes: int) -> None:
    """Find out before long work, not after it, whether a disk has room for what is to be written.

    Parameters
    ----------
    folder : Path or str
        The folder to write to; it need not exist yet.
    megabytes : int
        How much at least, in units of 10⁶ bytes.

    Raises
    ------
    OSError
        If less is free; ``strerror`` says how much of each.
    """
    existing = next(path for path in (Path(folder), *Path(folder).parents) if path.exists())
    free = shutil.disk_usage(existing).free // 10**6
    if free < megabytes:
        reason = f"{os.strerror(errno.ENOSPC)}: {free:,} MB free, {megabytes:,} MB needed"
        raise OSError(errno.ENOSPC, reason, str(folder))


def sha256_of(*parts: bytes | str | Path) -> str:
    """Hash a sequence of parts: 64 hexadecimal digits.

    Bytes and text stand for themselves, a path for the content of its file (not for its name).
    Each part's length is hashed too, so that ``("ab", "c")`` and ``("a", "bc")`` differ.
    """
    digest = hashlib.sha256()
    for part in parts:
        data = _content(part)
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def _content(part: bytes | str | Path) -> bytes:
    if isinstance(part, Path):
        return part.read_bytes()
    return part.encode() if isinstance(part, str) else part


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # what is in the way is a file: "File exists" would mislead
        reason = os.strerror(errno.ENOTDIR)
        raise NotADirectoryError(errno.ENOTDIR, reason, error.filename) from None


def _beside(path: Path) -> Path:
    """Return a fresh hidden name in the same directory, so that a rename is atomic."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")


@contextmanager
def _errors_name(path: Path, temporary: Path) -> Iterator[None]:
    """Let an OSError name the file that the user knows, not the temporary one, or none."""
    try:
        yield
    except OSError as error:
        if error.filename in (None, str(temporary)):
            error.filename, error.filename2 = str(path), None
        raise
