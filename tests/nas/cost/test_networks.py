"""Shapes of networks by name: integer model files, and what they refuse."""

from pathlib import Path

import pytest

from nas.cost.networks import NamedNetwork
from nas.importer.options import NetworkOptions
from rtl.config import TINY, ZCU102_A8
from rtl.errors import UserError
from rtl.model import IntegerModel

DIGITS = str(Path(__file__).parents[3] / "examples" / "digits.pulsar")


def test_a_file_has_its_own_tiles():
    model, network = IntegerModel.load(DIGITS), NamedNetwork(DIGITS)
    assert network.shape(model.row_granularity) == model.shape
    assert network.shape(2 * model.row_granularity).row_granularity == 2 * model.row_granularity
    with pytest.raises(UserError, match="--w8 is for float networks"):
        NamedNetwork(DIGITS, 0.5).shape(model.row_granularity)
    for options in (NetworkOptions(classes=3), NetworkOptions(image_size=28)):
        with pytest.raises(UserError, match=r"is for timm's models: digits.pulsar has its own"):
            NamedNetwork(DIGITS, options=options).shape(model.row_granularity)


def test_a_files_codes_must_be_the_engines():
    assert NamedNetwork(DIGITS).shape_on(TINY) == IntegerModel.load(DIGITS).shape
    with pytest.raises(UserError, match="model has act_bits 6, engine 'zcu102_a8' 8"):
        NamedNetwork(DIGITS).shape_on(ZCU102_A8)
