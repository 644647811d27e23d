"""Recipes of format 2: headers and refusals; tests/rtl/model has files with them."""

from dataclasses import replace

import pytest

from boards.host.errors import UserError
from boards.host.preprocessing import Preprocessing

PLAIN = Preprocessing(crop=(8, 8), mode="L")
NEW = {
    "margin": replace(PLAIN, margin="even"),
    "pad": replace(PLAIN, pad=0),
    "pair": replace(PLAIN, resize=(9, 10)),
    "small": replace(PLAIN, resize=5, pad=255),
}


def test_headers_of_both_formats():
    assert PLAIN.header().keys() == {"crop", "mode", "resize", "interpolation", "invert"}
    assert PLAIN.header(2).keys() - PLAIN.header().keys() == {"margin", "pad"}
    assert NEW["pair"].header()["resize"] == [9, 10]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"margin": "ceil"}, "preprocessing.margin must be one of floor, even, not 'ceil'"),
        ({"pad": 256}, "preprocessing.pad must be an integer from 0 to 255, not 256"),
        ({"pad": True}, "preprocessing.pad must be an integer from 0 to 255, not True"),
        ({"resize": (8, 7)}, "preprocessing.resize must be an integer from 8 to 4096, not 7"),
        ({"resize": (8,)}, "preprocessing.resize must be a number or [height, width], not (8,)"),
        ({"resize": (8, 0), "pad": 0}, "preprocessing.resize must be an integer from 1 to 4096"),
        ({"resize": 0, "pad": 0}, "preprocessing.resize must be an integer from 1 to 4096, not 0"),
    ],
)
def test_refused_by_name(change, message):
    with pytest.raises(UserError) as error:
        replace(PLAIN, **change).check((8, 8, 1))
    assert str(error.value).startswith(message)
