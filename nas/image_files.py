"""The images in a folder, without what systems and tools leave there."""

import os
from pathlib import Path

from boards.host.pictures import ENDINGS
from rtl.errors import UserError

NOT_OURS = ("__MACOSX", "@eaDir")
"""Folders that archives of macOS and network drives bring; hidden ones begin with a dot."""


def find_images(folder: Path) -> list[Path]:
    """List the images in a folder and the folders in it, sorted.

    A file is an image by the ending of its name. Hidden files and folders are skipped; links are
    followed.

    Raises
    ------
    UserError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}")
    found = []
    for root, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not is_hidden(name)]
        paths = (Path(root, name) for name in names if is_image_name(name))
        found += [path for path in paths if path.is_file()]
    return sorted(found)


def is_image_name(name: str) -> bool:
    """Whether a file of this name is taken for an image."""
    return name.lower().endswith(ENDINGS) and not is_hidden(name)


def is_hidden(name: str) -> bool:
    """Whether files and folders of this name are skipped."""
    return name.startswith(".") or name in NOT_OURS
