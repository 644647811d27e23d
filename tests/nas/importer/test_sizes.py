"""Numbers of tokens, and image sizes that fit."""

from dataclasses import replace

import pytest

from nas.importer.sizes import check_classes, check_tokens
from rtl.errors import UserError
from rtl.model.shape import plain_vit

LARGEST, USUAL = ", the largest that fits", ", or the usual --image-size 224"


def sizes(patch, side):
    return plain_vit(
        image=(side, side, 3), patch=patch, width=192, heads=3, classes=10, row_granularity=32
    )


@pytest.mark.parametrize(
    ("patch", "side", "tokens", "remedy"),
    [
        (
            14,
            518,
            "1,370",
            f"434{LARGEST}{USUAL}",
        ),
        (8, 384, "2,305", f"248{LARGEST}{USUAL}"),
        (4, 224, "3,137", f"124{LARGEST}"),
        (15, 600, "1,601", f"465{LARGEST}"),
    ],
)
def test_too_many_tokens(patch, side, tokens, remedy):
    with pytest.raises(UserError) as error:
        check_tokens("net", sizes(patch, side))
    assert str(error.value) == (
        f"net: {tokens} tokens at {side} x {side} pixels, at most 1,024 fit: give --image-size"
        f" {remedy}"
    )


def test_enough_room():
    check_tokens("net", sizes(14, 434))


def test_too_many_classes():
    with pytest.raises(
        UserError, match=r"^net: 115,217 classes, at most 65,536 fit: give --classes 0"
    ):
        check_classes("net", replace(sizes(14, 224), classes=115_217))
    check_classes("net", replace(sizes(14, 224), classes=65_536))
