"""Selection of tokens in a network's sizes."""

from dataclasses import replace

import numpy as np
import pytest

from rtl.errors import UserError
from rtl.model.keep import (
    KEEP_HELP,
    check_keep,
    original_tokens,
    parse_keep,
    read_keep,
    with_keep,
)
from rtl.model.shape import plain_vit
from sim.random_model import random_model
from tests.rtl.model.files import SIZES, header_edit, refusal_of

SHAPE = plain_vit(width=192, heads=3, row_granularity=32)
TEN = plain_vit(image=(4, 10, 3), patch=2, width=32, heads=2, depth=4, row_granularity=32)


def test_counts_stay_as_they_are():
    assert parse_keep("3:143,6:107,9:71", SHAPE) == {3: 143, 6: 107, 9: 71}


def test_ratios_are_of_the_patches_that_are_left_rounded_up():
    assert parse_keep("3:0.7,6:0.7,9:0.7", SHAPE) == {3: 138, 6: 97, 9: 68}


def test_a_ratio_is_exact():
    assert 0.14 * 50 > 7
    fifty = replace(TEN, image=(10, 20, 3))
    assert parse_keep("0:0.14,1:1.0,2:.34", fifty) == {0: 7, 1: 7, 2: 3}


def test_a_one_is_a_count_and_one_point_nought_is_all():
    assert parse_keep("0:1", TEN) == {0: 1}
    assert parse_keep("0:1.0", TEN) == {0: 10}


def test_entries_come_in_any_order_with_spaces():
    assert parse_keep("6:0.5, 3:100", SHAPE) == {3: 100, 6: 50}


def test_counts_in_the_shape_are_replaced():
    assert parse_keep("6:0.5", with_keep(SHAPE, {3: 100})) == {6: 98}


def test_tokens_that_enter_each_block():
    shape = with_keep(TEN, {0: 7, 2: 3})
    assert [shape.tokens_in(block) for block in range(5)] == [11, 8, 8, 4, 4]
    assert [block.keep for block in shape.blocks] == [7, None, 3, None]


def test_original_tokens():
    """Of ten patches and the class token."""
    shape = with_keep(TEN, {0: 4, 2: 2})
    tensors = {
        "blocks.0.kept": np.array([[1, 3, 8, 9, 10], [0, 1, 2, 3, 10]]),
        "blocks.2.kept": np.array([[0, 2, 4], [1, 3, 4]]),
    }
    assert original_tokens(tensors, shape, 0).tolist() == list(range(11))
    for block in (1, 2):
        assert original_tokens(tensors, shape, block).tolist() == tensors["blocks.0.kept"].tolist()
    for block in (3, 4):
        assert original_tokens(tensors, shape, block).tolist() == [[1, 8, 10], [1, 3, 10]]
    one = {name: tensor[0] for name, tensor in tensors.items()}
    assert original_tokens(one, shape, 4).tolist() == [1, 8, 10]


@pytest.mark.parametrize("text", ["", "3", "3:", "3:x", "3-143", "3:143,", "-1:3", "3:-2", "3:1e2"])
def test_other_text_is_refused(text):
    with pytest.raises(UserError, match="must be BLOCK:COUNT or BLOCK:RATIO, such as 3:143"):
        parse_keep(text, SHAPE)


LONG = "1" * 19


@pytest.mark.parametrize(
    "text",
    [f"3:{LONG}", f"{LONG}:3", f"3:0.{LONG}", f"3:{LONG}.0", f"3:{'1' * 5000}", "3:\u0663"],
    ids=["count", "block", "ratio", "whole part", "very long", "Arabic digit"],
)
def test_numbers_have_few_digits_of_ascii(text):
    with pytest.raises(UserError, match=r"--keep has '.*: it must be .* of at most 18 digits each"):
        parse_keep(text, SHAPE)
    assert parse_keep("3:0." + "9" * 18, SHAPE) == {3: 196}


def test_the_text_alone_is_read_without_a_network():
    assert read_keep("30:.5, 3:143") == {30: ".5", 3: "143"}
    with pytest.raises(UserError, match="--keep has '3:abc'"):
        read_keep("3:abc")


def test_the_help_tells_shares_from_counts_and_names_an_engine():
    assert "3:1 keeps one patch, 3:1.0 all" in KEEP_HELP
    assert "an engine with select_tokens, such as zcu102_select" in KEEP_HELP


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3:143,3:107", "--keep has block 3 twice"),
        ("3:1.2", "--keep 3:1.2: a ratio must be above 0 and at most 1; a number of patches has"),
        ("3:0.0", "--keep 3:0.0: a ratio must be above 0 and at most 1"),
        ("12:5", "there is no block 12, the network has 12, counted from 0 to 11"),
        ("99:0.5", "keep 99:0.5: there is no block 99, the network has 12, counted"),
        ("12:0.5", "there is no block 12, the network has 12, counted from 0 to 11"),
        ("3:0", "blocks.3.keep is 0: it must be an integer from 1 to 196, the patches that are"),
        ("3:197", "blocks.3.keep is 197: it must be an integer from 1 to 196"),
        ("3:143,6:144", "blocks.6.keep is 144: it must be an integer from 1 to 143"),
        ("11:5", "blocks.11.keep is 5: nothing behind the last block would be spared: leave it"),
    ],
)
def test_what_a_network_cannot_keep_is_refused(text, message):
    with pytest.raises(UserError, match=message):
        parse_keep(text, SHAPE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_token": False, "mean_pool": True}, "chosen by a class token, and there is none"),
        ({"mean_pool": True}, "pooled by the mean of all patches, of which none may go"),
        ({"attention_pool": True, "dense": True}, "pooled by attention over all patches, of which"),
    ],
)
def test_networks_without_a_class_token_to_read_keep_all(change, message):
    with pytest.raises(UserError, match=f"blocks.3.keep is 5: .*{message}"):
        parse_keep("3:5", replace(SHAPE, **change))
    check_keep(replace(SHAPE, **change))


def test_features_of_the_mean_need_all_patches():
    with pytest.raises(UserError, match=r"blocks.0.keep is 2: the output is pooled by the mean of"):
        random_model(**SIZES, keep={0: 2}, output="tokens", pool="mean")


def test_heads_that_the_importance_has_room_for():
    with_keep(plain_vit(width=192, heads=255, row_granularity=32), {3: 143})
    with pytest.raises(UserError, match=r"blocks.3.keep is 143: the block has 256 heads.* 255"):
        with_keep(plain_vit(width=192, heads=256, row_granularity=32), {3: 143})


EDITS = {
    "more than there are": (0, 5, "blocks.0.keep is 5: it must be an integer from 1 to 4, the"),
    "none": (0, 0, "blocks.0.keep must be an integer from 1 to 65536, not 0"),
    "truth value": (0, True, "blocks.0.keep must be an integer from 1 to 65536, not True"),
    "last block": (1, 2, "blocks.1.keep is 2: nothing behind the last block would be spared"),
}


@pytest.mark.parametrize("block, value, message", EDITS.values(), ids=EDITS)
def test_a_file_is_refused(tmp_path, block, value, message):
    edit = header_edit("blocks", block, "keep", value)
    model = random_model(**SIZES, keep={0: 2})
    assert refusal_of(tmp_path / "a.pulsar", model, edit).startswith(message)


def test_a_count_that_is_no_integer_is_refused():
    with pytest.raises(UserError, match=r"blocks.0.keep is 2.0: it must be an integer from 1"):
        with_keep(TEN, {0: 2.0})
