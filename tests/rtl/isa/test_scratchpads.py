"""NumPy scratchpads: windows, granules, the record of a row's parameters."""

import numpy as np
import pytest

from rtl.config import TINY
from rtl.isa.scratchpads import Scratchpads, parameter_fields, parameter_records, window, wrap


def test_records_hold_every_parameter():
    rng = np.random.default_rng(0)
    fields = (
        np.array([-(1 << 26), (1 << 26) - 1, *rng.integers(-(1 << 26), 1 << 26, 50)]),
        np.array([0, (1 << 17) - 1, *rng.integers(0, 1 << 17, 50)]),
        np.array([63, 1, *rng.integers(1, 64, 50)]),
    )
    for got, expected in zip(parameter_fields(parameter_records(*fields)), fields, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("value, bits, expected", [(7, 4, 7), (8, 4, -8), (-9, 4, 7), (255, 8, -1)])
def test_wrap(value, bits, expected):
    assert wrap(np.array(value), bits) == expected


def test_a_window_is_a_view_and_ends_with_the_scratchpad():
    pads = Scratchpads(TINY)
    words = len(pads.ring)
    window(pads.ring, words - 1, 1, axis=0)[:] = 3
    assert (pads.ring[-1] == 3).all()
    with pytest.raises(AssertionError, match=f"address {words - 1} \\+ 2"):
        window(pads.ring, words - 1, 2, axis=0)


def test_granules_are_the_parts_of_words():
    pads = Scratchpads(TINY)
    granules = pads.granules(pads.activations)
    parts = TINY.row_lanes // TINY.depth_lanes
    assert granules.shape == (TINY.token_lanes, parts * TINY.activation_words, TINY.depth_lanes)
    np.testing.assert_array_equal(granules[1, parts], pads.activations[1, 1, : TINY.depth_lanes])


def test_noise_is_the_seed_s():
    first, same, other = Scratchpads(TINY, 1), Scratchpads(TINY, 1), Scratchpads(TINY, 2)
    assert (first.keys == same.keys).all() and (first.keys != other.keys).any()
