"""A wrong, missing or stray write is named, in whatever order and parts words are written."""

import numpy as np
import pytest

from rtl.compiler import compare
from rtl.config import TINY
from tests.rtl.compiler.expected import COMPILED, expected_writes, tensors_of


@pytest.fixture(scope="module")
def tensors():
    return tensors_of(COMPILED)


def test_order_and_parts_of_words_do_not_matter(tensors):
    expected = expected_writes(tensors, "qkv", "blocks.0.q")
    half = np.arange(TINY.row_lanes) < TINY.depth_lanes
    banks, words, values = (
        np.concatenate([x[::-1], x]) for x in (expected.banks, expected.words, expected.values)
    )
    parts = np.concatenate([expected.written[::-1] & half, expected.written & ~half])
    assert compare(expected, banks, words, values, parts) is None
    missing = compare(expected, banks[:-1], words[:-1], values[:-1], parts[:-1])
    assert "was not written, expected" in str(missing)


def test_a_stray_write_is_named(tensors):
    expected = expected_writes(tensors, "context", "blocks.0.context", 1)
    everything = np.ones_like(expected.written)
    stray = compare(expected, expected.banks, expected.words, expected.values, everything)
    if expected.written.all():
        assert stray is None
    elsewhere = compare(
        expected, expected.banks, expected.words + 500, expected.values, expected.written
    )
    assert "unexpected write of" in str(elsewhere) and "activations bank" in str(elsewhere)
