"""The test set, apart from all else: only the final report imports this module.

``tests/nas/test_data.py`` lists the modules that may; training and search are not among them.
"""

from pathlib import Path

from nas.data import FolderDataset, ImageSet
from nas.digits import digit_images, digit_split
from rtl.model import Preprocessing


def load_digits_test() -> ImageSet:
    """Load the 1,000 digits that neither training nor search has seen."""
    return digit_images().take(digit_split()["test"])


def load_folders_test(
    root: Path, preprocessing: Preprocessing, shape: tuple[int, int, int]
) -> ImageSet:
    """Read ``root/test``, folders of classes."""
    return FolderDataset(root / "test", preprocessing, shape).in_memory()
