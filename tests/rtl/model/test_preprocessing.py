"""Recipes of format 2: round trip and refusals; those of format 1 are in test_model.py."""

from dataclasses import replace

import pytest

from rtl.errors import UserError
from rtl.model import IntegerModel, Preprocessing
from tests.rtl.model.files import header_edit, refusal_of

PLAIN = Preprocessing(crop=(8, 8), mode="L")
NEW = {
    "margin": replace(PLAIN, margin="even"),
    "pad": replace(PLAIN, pad=0),
    "pair": replace(PLAIN, resize=(9, 10)),
    "small": replace(PLAIN, resize=5, pad=255),
}


@pytest.mark.parametrize("name", NEW)
def test_round_trip(model, path, name):
    written = replace(model, preprocessing=NEW[name])
    written.save(path)
    loaded = IntegerModel.load(path)
    assert loaded.preprocessing == NEW[name]
    assert loaded.hash == written.hash and loaded.header()["format"] == 2


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


def test_format_1_has_one_number(model, path):
    message = refusal_of(path, model, header_edit("preprocessing", "resize", [9, 10]))
    assert message == "preprocessing.resize must be an integer from 8 to 4096, not [9, 10]"
