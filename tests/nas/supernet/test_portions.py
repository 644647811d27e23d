"""Images at a time: as many as ever for the digits, few for a large network."""

import pytest

from nas.digits import DIGITS
from nas.supernet.portions import forward_images, kept_images
from nas.task.sizes import SIZES

DIGIT, DEIT = (
    space.shape(space.largest())
    for space in (DIGITS, SIZES["small"].space((224, 224, 3), 16, 1000))
)


@pytest.mark.parametrize("images", [100, 250, 512])
def test_digits_run_in_one_piece(images):
    assert forward_images(DIGIT, images) == kept_images(DIGIT, images) == images


def test_few_images_of_a_large_network():
    assert forward_images(DEIT, 512) == 27 and forward_images(DEIT, 5) == 5
    assert kept_images(DEIT, 200) == 3 and kept_images(DEIT, 200, values=1) == 1
