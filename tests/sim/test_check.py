"""Which image a tap's record belongs to."""

import numpy as np
import pytest

from sim.check import image_of_records


@pytest.mark.parametrize(
    ("numbers", "images", "expected"),
    [
        ([3, 3, 7, 9, 3, 3, 7, 9], 2, [0, 0, 0, 0, 1, 1, 1, 1]),
        ([5, 5, 5, 5, 5, 5], 3, [0, 0, 1, 1, 2, 2]),  # one instruction alone writes here
        ([4, 8], 1, [0, 0]),
        ([4, 8, 4, 8, 4], 2, [0, 0, 1, 1, 1]),  # too many: they count to the last image
        ([], 2, []),
    ],
)
def test_numbers_fall_back_where_an_image_begins(numbers, images, expected):
    assert image_of_records(np.array(numbers, int), images).tolist() == expected
