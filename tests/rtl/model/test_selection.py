"""Blocks that keep some patches: every refusal, from a file's header and from sizes alone."""

from dataclasses import replace

import pytest

from rtl.errors import UserError
from rtl.model.selection import check_selection
from rtl.model.shape import plain_vit
from sim.random_model import random_model
from tests.rtl.model.files import SIZES, header_edit, refusal_of

PLAIN = {
    "image": (16, 16, 3), "patch": 4, "width": 16, "heads": 2, "head_dim": 8, "depth": 4,
    "classes": 5, "row_granularity": 8,
}  # fmt: skip


def keeping(keep, **sizes):
    """A network whose blocks keep what ``keep`` says, by block."""
    shape = plain_vit(**PLAIN | sizes)
    blocks = [replace(block, keep=keep.get(i)) for i, block in enumerate(shape.blocks)]
    return replace(shape, blocks=tuple(blocks))


@pytest.mark.parametrize("keep", [{}, {0: 1}, {0: 16}, {0: 9, 1: 9, 2: 1}])
def test_what_may_be_kept(keep):
    check_selection(keeping(keep))


def test_tokens_of_each_block():
    shape = replace(keeping({1: 9, 2: 3}), registers=2)
    assert shape.selects and not keeping({}).selects
    assert [shape.patches_in(i) for i in range(5)] == [16, 16, 9, 3, 3]
    assert [shape.tokens_in(i) for i in range(5)] == [19, 19, 12, 6, 6]
    assert shape.final_tokens == range(5, 6)
    dense = replace(shape, dense=True, classes=0, head_bits8=())
    assert dense.final_tokens == range(6)


CASES = {
    "none": (
        keeping({1: 0}),
        "blocks.1.keep (of the patches that enter) must be an integer from 1 to 16, not 0",
    ),
    "more than there are": (
        keeping({0: 17}),
        "blocks.0.keep (of the patches that enter) must be an integer from 1 to 16, not 17",
    ),
    "more than are left": (
        keeping({0: 5, 2: 6}),
        "blocks.2.keep (of the patches that enter) must be an integer from 1 to 5, not 6",
    ),
    "no number": (
        keeping({0: True}),
        "blocks.0.keep (of the patches that enter) must be an integer from 1 to 16, not True",
    ),
    "last block": (
        keeping({3: 9}),
        "blocks.3.keep is 9, but this block is the last: none follows that would work on fewer"
        " patches",
    ),
    "no class token": (
        replace(keeping({0: 9}, mean_pool=True), class_token=False),
        "blocks.0.keep is 9, but there is no class token, by whose attention patches are chosen:"
        " all must stay",
    ),
    "mean": (
        keeping({0: 9}, mean_pool=True),
        "blocks.0.keep is 9, but pool mean is of all patches: all must stay",
    ),
    "attention pooling": (
        replace(keeping({0: 9}), attention_pool=True, dense=True, classes=0),
        "blocks.0.keep is 9, but pool attention is of all patches: all must stay",
    ),
    "heads": (
        keeping({0: 9}, heads=256),
        "blocks.0.keep is 9, but its block has 256 heads: the importance of a patch has room for"
        " 255",
    ),
}


@pytest.mark.parametrize("shape, message", CASES.values(), ids=CASES)
def test_sizes_are_refused(shape, message):
    with pytest.raises(UserError) as error:
        check_selection(shape)
    assert str(error.value) == message


def test_as_many_heads_as_there_is_room_for():
    check_selection(keeping({0: 9}, heads=255))


def test_features_of_the_mean_are_refused():
    with pytest.raises(UserError, match="pool mean is of all patches"):
        random_model(**SIZES, keep={0: 2}, output="tokens", pool="mean")


EDITS = {
    "more than there are": ((0, 5), "blocks.0.keep (of the patches that enter) must be an integer"),
    "none": ((0, 0), "blocks.0.keep must be an integer from 1 to 65536, not 0"),
    "truth value": ((0, True), "blocks.0.keep must be an integer from 1 to 65536, not True"),
    "last block": ((1, 2), "blocks.1.keep is 2, but this block is the last"),
}


@pytest.mark.parametrize("place, message", EDITS.values(), ids=EDITS)
def test_a_file_is_refused(tmp_path, place, message):
    block, value = place
    model = random_model(**SIZES, keep={0: 2})
    edit = header_edit("blocks", block, "keep", value)
    assert refusal_of(tmp_path / "a.pulsar", model, edit).startswith(message)
