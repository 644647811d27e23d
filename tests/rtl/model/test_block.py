"""A block with two GELU tables: round trip, its units, every refusal."""

from dataclasses import replace

import numpy as np
import pytest

from rtl.model import IntegerModel, repack
from sim import golden
from sim.random_model import random_model
from tests.rtl.model.files import SIZES, header_edit, refusal_of, tensor_edit


@pytest.fixture(scope="module")
def model():
    """24 hidden units in tiles of 8, and 16: the second table begins at a tile."""
    return random_model(**SIZES, two_tables=True, seed=3)


def code_edit(block, key, value):
    return header_edit("blocks", block, "hidden_code", key, value)


def unsigned(edit):
    """Edit a block whose hidden code is made unsigned."""

    def both(header, tensors):
        header["blocks"][0]["hidden_code"] |= {"signed": False, "zero": 3, "second_zero": 5}
        tensors["blocks.0.gelu"][:] = 7
        edit(header, tensors)

    return both


CASES = {
    "tile": (
        code_edit(0, "first_units", 12),
        "blocks.0.hidden_code.first_units is 12: it must be a multiple of 8 (row_granularity), as"
        " the rows of a tile share a GELU table",
    ),
    "none": (
        code_edit(0, "first_units", 0),
        "blocks.0.hidden_code.first_units must be an integer from 1 to 65536, not 0",
    ),
    "all": (
        code_edit(1, "first_units", 16),
        "blocks.1.hidden_code.first_units must be an integer from 1 to 15, not 16",
    ),
    "null": (
        code_edit(0, "first_units", None),
        "blocks.0.hidden_code.first_units must be an integer from 1 to 65536, not None",
    ),
    "second zero of a signed code": (
        lambda header, tensors: header["blocks"][0]["hidden_code"].update(
            signed=True, zero=0, second_zero=1
        ),
        "blocks.0.hidden_code.second_zero must be an integer from 0 to 0, not 1",
    ),
    "second zero": (
        unsigned(code_edit(0, "second_zero", 64)),
        "blocks.0.hidden_code.second_zero must be an integer from 0 to 63, not 64",
    ),
    "second zero alone": (
        lambda header, tensors: header["blocks"][0]["hidden_code"].pop("first_units"),
        "blocks.0.hidden_code lacks the key 'first_units'",
    ),
    "first units alone": (
        lambda header, tensors: header["blocks"][0]["hidden_code"].pop("second_zero"),
        "blocks.0.hidden_code lacks the key 'second_zero'",
    ),
    "one table": (
        lambda header, tensors: tensors.update({"blocks.0.gelu": tensors["blocks.0.gelu"][0]}),
        "tensor blocks.0.gelu must have shape 2x256, not 256",
    ),
    "second table": (
        tensor_edit("blocks.0.gelu", (1, 9), 64),
        "tensor blocks.0.gelu[1, 9] is 64: it must be",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_refused_by_name(model, tmp_path, name):
    edit, message = CASES[name]
    assert refusal_of(tmp_path / "a.pulsar", model, edit).startswith(message)


def test_format_1_has_one_table(tmp_path):
    one = random_model(**SIZES)
    edit = code_edit(0, "first_units", 8)
    message = refusal_of(tmp_path / "a.pulsar", one, edit)
    assert message == "blocks.0.hidden_code has an unknown key 'first_units'"


def test_round_trip(model, tmp_path):
    model.save(tmp_path / "a.pulsar")
    loaded = IntegerModel.load(tmp_path / "a.pulsar")
    assert loaded.hash == model.hash and loaded.header()["format"] == 2
    assert loaded.shape.blocks[0].first_table_units == model.blocks[0].first_units


def test_tables_cover_the_hidden_units(model):
    for block in model.blocks:
        (first, low), (second, high) = block.tables()
        assert (first.start, second.stop) == (0, block.hidden)
        assert first.stop == second.start == block.first_units
        np.testing.assert_array_equal([low, high], block.gelu)


def test_a_block_of_one_table():
    [(units, table)] = random_model(**SIZES).blocks[0].tables()
    assert units == slice(0, 24) and table.shape == (256,)


def test_repack_keeps_tables_that_begin_at_a_tile(model):
    assert repack(model, 4).blocks[0].first_units == model.blocks[0].first_units
    at_16 = replace(model, blocks=(replace(model.blocks[0], first_units=16),))
    assert repack(at_16, 16).blocks[0].first_units == 16


@pytest.mark.parametrize("bits", [4, 8])
def test_repack_fills_tiles_with_both_tables(model, bits):
    """Units of weight 0 change no output."""
    block = replace(model.blocks[0], first_units=8)
    widths, weight = np.full(24, 8, np.uint8), block.fc1.weight.clip(-8, 7)
    widths[:8] = bits
    block = replace(block, fc1=replace(block.fc1, weight=weight, bits=widths))
    mixed = replace(model, blocks=(block, *model.blocks[1:]))
    packed = repack(mixed, 16)
    assert (packed.blocks[0].first_units, packed.blocks[0].hidden) == (16, 32)
    assert packed.blocks[1].first_units is not None and packed.row_granularity == 16
    images = np.random.default_rng(0).integers(0, 256, (3, *model.image), np.uint8)
    np.testing.assert_array_equal(golden.run(packed, images), golden.run(mixed, images))
