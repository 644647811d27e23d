"""The test set, apart from all else: only the final report imports this module.

``tests/nas/test_digits.py`` lists the modules that may; training and search are not among them.
"""

from boards.host.pictures import one_error
from nas.data import Images, ImageSet
from nas.digits import digit_images, digit_split
from nas.task.images import load_part
from nas.task.task import FolderImages


def load_digits_test(split: int = 0) -> ImageSet:
    """Load the 1,000 digits that neither training nor search has seen, of a split 0 to 4."""
    return digit_images().take(digit_split(split)["test"])


def load_test(origin: int | FolderImages) -> Images:
    """Load the test images of a task, by its origin.

    Raises
    ------
    UserError
        If some cannot be read, although they could be before.
    """
    if isinstance(origin, int):
        return load_digits_test(origin)
    images, problems = load_part(origin.parts.test_part, origin.look, origin.workers)
    if problems:
        raise one_error([*problems.values()])
    return images
