"""The test set, apart from all else: only the final report imports this module.

``tests/nas/test_data.py`` lists the modules that may; training and search are not among them.
"""

from nas.data import ImageSet
from nas.digits import digit_images, digit_split


def load_digits_test(split: int = 0) -> ImageSet:
    """Load the 1,000 digits that neither training nor search has seen, of a split 0 to 4."""
    return digit_images().take(digit_split(split)["test"])
