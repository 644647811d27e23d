"""Packages from PyPI, fetched once as files: nothing is installed, and no code of theirs runs."""

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from rtl.errors import ToolError, UserError
from rtl.files import atomic_directory, atomic_write
from sim.toolchain.cache import cache_directory, locked

FETCH_SECONDS = 1200
PIP = ("--no-deps", "--only-binary", ":all:", "--disable-pip-version-check", "--retries", "2")


@dataclass(frozen=True)
class Wheel:
    """A package on PyPI.

    Parameters
    ----------
    package, version : str
    sha256 : str, optional
        Of its wheel; None where each platform has another one.
    """

    package: str
    version: str
    sha256: str | None = None

    @property
    def folder(self) -> Path:
        """Folder in the cache that holds the wheel."""
        return cache_directory() / "wheels" / f"{self.package}-{self.version}"

    def fetch(self) -> Path:
        """Return the wheel's file, downloaded at the first time.

        Raises
        ------
        ToolError
            If pip cannot download it.
        UserError
            If it is not the wheel that it should be.
        """
        with locked(self.folder.parent / f"{self.folder.name}.lock"):
            if not self._found():
                with atomic_directory(self.folder) as folder:
                    self._download(folder)
        file = self._found()
        if file is None:
            raise UserError(f"{self.folder}: no wheel in it: remove the folder and try again")
        if self.sha256 and (found := sha256_of_file(file)) != self.sha256:
            raise UserError(
                f"{file} has SHA-256 {found}, not {self.sha256}: remove it and try again"
            )
        return file

    def _found(self) -> Path | None:
        return next(iter(sorted(self.folder.glob("*.whl"))), None)

    def _download(self, folder: Path) -> None:
        name = f"{self.package}=={self.version}"
        command = [sys.executable, "-m", "pip", "download", *PIP, "--dest", str(folder), name]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise ToolError(f"pip took more than {FETCH_SECONDS} s to fetch {name}") from None
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            reason = (said or done.stderr.splitlines() or ["no reason given"])[-1]
            raise ToolError(
                f"pip cannot fetch {name}: {reason.removeprefix('ERROR: ')}; is there a network?"
                f" Or put its wheel into {self.folder}"
            )

    def read(self, member: str) -> bytes:
        """Return a file of the wheel, which is fetched if need be.

        Raises
        ------
        UserError
            If the wheel is damaged or has no such file.
        """
        file = self.fetch()
        try:
            with ZipFile(file) as archive:
                return archive.read(member)
        except (BadZipFile, KeyError) as error:
            raise UserError(f"{file}: cannot be read: {error}: remove it and try again") from None

    def extract(self, member: str) -> Path:
        """Return a file of the wheel as a file of its own, beside it."""
        path = self.folder / Path(member).name
        if not path.is_file():
            content = self.read(member)
            with atomic_write(path) as file:
                file.write(content)
        return path


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
