"""Recipes in a model's file, in both formats; tests/boards/host has their refusals."""

from dataclasses import replace

import pytest

from rtl.model import IntegerModel
from tests.boards.host.test_preprocessing import NEW
from tests.rtl.model.files import header_edit, refusal_of


@pytest.mark.parametrize("name", NEW)
def test_round_trip(model, path, name):
    written = replace(model, preprocessing=NEW[name])
    written.save(path)
    loaded = IntegerModel.load(path)
    assert loaded.preprocessing == NEW[name]
    assert loaded.hash == written.hash and loaded.header()["format"] == 2


def test_format_1_has_one_number(model, path):
    message = refusal_of(path, model, header_edit("preprocessing", "resize", [9, 10]))
    assert message == "preprocessing.resize must be an integer from 8 to 4096, not [9, 10]"
