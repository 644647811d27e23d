"""Sizes of a network without weights."""

import pytest

from rtl.errors import UserError
from rtl.model.shape import plain_vit

SMALL = {"image": (28, 42, 3), "patch": 7, "width": 64, "heads": 3, "head_dim": 16, "depth": 2,
         "classes": 10, "row_granularity": 16}  # fmt: skip


def test_tokens_of_an_image_that_is_no_square():
    shape = plain_vit(**SMALL)
    assert (shape.grid, shape.patches, shape.tokens) == ((4, 6), 24, 25)
    assert shape.patch_values == 147
    assert shape.final_tokens == range(24, 25)


def test_tokens_without_class_token():
    shape = plain_vit(**SMALL, mean_pool=True, class_token=False)
    assert (shape.patches, shape.tokens) == (24, 24)
    assert shape.final_tokens == range(24)


def test_rows_and_depth_of_every_layer():
    sizes = plain_vit(**SMALL).layer_sizes(0)
    assert sizes == {
        "q": (48, 64), "k": (48, 64), "v": (48, 64), "proj": (64, 48), "fc1": (256, 64),
        "fc2": (64, 256),
    }  # fmt: skip


def test_row_tiles_are_rounded_up():
    shape = plain_vit(**SMALL)
    assert [shape.row_tiles(rows) for rows in (1, 16, 17)] == [1, 1, 2]


@pytest.mark.parametrize("fraction", [-0.1, 1.1])
def test_a_fraction_beyond_one_is_refused(fraction):
    with pytest.raises(UserError, match="fraction of 8-bit rows must be from 0 to 1"):
        plain_vit(**SMALL, bits8=fraction)
