"""Shapes of networks by name: integer model files, and what they refuse."""

from pathlib import Path

import pytest

from nas.cost.plain import shape_for, shape_of
from nas.importer.options import NetworkOptions
from rtl.config import TINY, ZCU102_A8
from rtl.errors import UserError
from rtl.model import IntegerModel

DIGITS = str(Path(__file__).parents[3] / "examples" / "digits.pulsar")


def test_a_file_has_its_own_tiles():
    model = IntegerModel.load(DIGITS)
    assert shape_of(DIGITS, model.row_granularity) == model.shape
    assert shape_of(DIGITS, 2 * model.row_granularity).row_granularity == 2 * model.row_granularity
    with pytest.raises(UserError, match="--w8 is for float networks"):
        shape_of(DIGITS, model.row_granularity, 0.5)
    for options in (NetworkOptions(classes=3), NetworkOptions(image_size=28)):
        with pytest.raises(UserError, match=r"is for timm's models: digits.pulsar has its own"):
            shape_of(DIGITS, model.row_granularity, 0.0, options)


def test_a_files_codes_must_be_the_engines():
    assert shape_for(DIGITS, TINY) == IntegerModel.load(DIGITS).shape
    with pytest.raises(UserError, match="model has act_bits 6, engine 'zcu102_a8' 8"):
        shape_for(DIGITS, ZCU102_A8)
