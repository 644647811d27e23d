"""NumPy scratchpads: windows, granules, records of row parameters, places of tokens' words."""

from dataclasses import replace

import numpy as np
import pytest

from rtl.config import TINY
from rtl.isa.instructions import Destination, Instruction, Opcode, Target
from rtl.isa.scratchpads import (
    Scratchpads,
    activation_mask,
    kept_words,
    parameter_fields,
    parameter_records,
    places_of,
    read_words,
    stored_beats,
    stored_words,
    window,
    wrap,
    written_words,
)


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


def matmul(destination, **operands):
    return operands | {
        "destination": destination,
        "destination_address": 50,
        "destination_stride": 20,
        "row_tiles": 2,
    }


LANES = {"lane_first": 1, "lane_count": 3}
ACTIVATIONS = LANES | {"destination_address": 50}
SOURCE = {"source_address": 30, "source_stride": 10}
RESIDUAL = {"destination": 50, "stride": 20, "token": 3, "row_words": 2, "bytes": 3 * 2 * 32}
PIXELS = {"destination": 50, "stride": 20, "lane_first": 2, "segments": 3, "segment_bytes": 9}

# Operands; buffer; bank and first word of each token; words of a token. By hand from docs/isa.md:
# TINY has 4 token lanes, 16 row lanes, 8 depth lanes.
WRITTEN = [
    (
        Opcode.MATMUL,
        matmul(Destination.ACTIVATIONS, token=6, **LANES),
        ("activations", [(1, 50), (2, 50), (3, 50)], 2),
    ),
    (
        Opcode.MATMUL,
        matmul(Destination.SCORES, token=6, lane_first=2, lane_count=4),
        ("scores", [(2, 50), (3, 50), (0, 70), (1, 70)], 2),
    ),
    (
        Opcode.MATMUL,
        matmul(Destination.KEYS, token=13, **LANES),
        ("keys", [(14, 50), (15, 50), (0, 70)], 2),
    ),
    (
        Opcode.MATMUL,
        matmul(Destination.VALUES, token=13, **LANES),
        ("values", [(6, 50), (7, 50), (0, 70)], 2),
    ),
    (
        Opcode.MATMUL,
        matmul(Destination.RESIDUAL, token=6, **LANES),
        ("residual", [(3, 50), (0, 70), (1, 70)], 2),
    ),
    (
        Opcode.MATMUL,
        matmul(Destination.KEPT, token=6, **LANES),
        ("residual", [(3, 50), (0, 70), (1, 70)], 2),
    ),
    (
        Opcode.NORM,
        ACTIVATIONS | {"token": 6, "row_words": 3},
        ("activations", [(1, 50), (2, 50), (3, 50)], 3),
    ),
    (
        Opcode.SOFTMAX,
        ACTIVATIONS | {"key_words": 3},
        ("activations", [(1, 50), (2, 50), (3, 50)], 3),
    ),
    (
        Opcode.LOAD,
        RESIDUAL | {"target": Target.RESIDUAL},
        ("residual", [(3, 50), (0, 70), (1, 70)], 2),
    ),
    (
        Opcode.LOAD,
        PIXELS | {"target": Target.PIXELS, "bytes": 5 * 3 * 9},
        ("pixels", [(2, 50), (3, 50), (0, 70)], 5 * 2),
    ),
]
READ = [
    (
        Opcode.NORM,
        LANES | SOURCE | {"token": 6, "row_words": 2},
        ("residual", [(3, 30), (0, 40), (1, 40)], 2),
    ),
    (
        Opcode.SOFTMAX,
        SOURCE | {"lane_first": 3, "lane_count": 2, "key_words": 3},
        ("scores", [(3, 30), (0, 40)], 3),
    ),
    (
        Opcode.STORE,
        {"source_address": 30, "token": 6, "row_words": 2},
        ("residual", [(2, 30)], 2),
    ),
    (
        Opcode.STORE,
        {"source_address": 30, "token": 6, "row_words": 2, "more_words": 6},
        ("residual", [(2, 30), (3, 30), (0, 32), (1, 32)], 2),
    ),
]
PLACES = [(written_words, *case) for case in WRITTEN] + [(read_words, *case) for case in READ]
NAMES = [
    f"{places.__name__} {opcode.name} {len(case[1])} {case[0]}"
    for places, opcode, _, case in PLACES
]


@pytest.mark.parametrize("places, opcode, operands, expected", PLACES, ids=NAMES)
def test_places_of_words(places, opcode, operands, expected):
    buffer, tokens, count = expected
    found = places(Instruction(opcode, operands), TINY)
    assert found.buffer == buffer
    assert found.banks.tolist() == [[bank] * count for bank, _ in tokens]
    assert found.words.tolist() == [list(range(word, word + count)) for _, word in tokens]


def test_tokens_that_stay_are_written_to_their_places():
    """Of tokens 7 to 9 the last two stay, as numbers 3 and 4: a group of 4 begins between them."""
    places = places_of(np.array([0, 2, 5, 8, 9]), 12)
    assert places.tolist() == [0, -1, 1, -1, -1, 2, -1, -1, 3, 4, -1, -1]
    operands = matmul(Destination.KEPT, token=6, **LANES)
    lanes, found = kept_words(Instruction(Opcode.MATMUL, operands), TINY, places)
    assert lanes.tolist() == [1, 2] and found.buffer == "residual"
    assert found.banks.tolist() == [[3, 3], [0, 0]]
    assert found.words.tolist() == [[30, 31], [50, 51]]


def test_the_mask_counts_granules_from_the_first_row_tile():
    operands = {"row_tiles": 3, "mask_first": 1, "mask_count": 3}
    mask = activation_mask(Instruction(Opcode.MATMUL, operands), TINY)
    assert mask.reshape(-1, TINY.depth_lanes).all(1).tolist() == [0, 1, 1, 1, 0, 0]
    assert mask.sum() == 3 * TINY.depth_lanes


def test_words_are_read_and_written_token_by_token():
    pads, operands = Scratchpads(TINY), matmul(Destination.ACTIVATIONS, **LANES)
    place = written_words(Instruction(Opcode.MATMUL, operands), TINY)
    before = pads.activations.copy()
    content = np.arange(place.words.size * TINY.row_lanes).reshape(*place.words.shape, -1)
    pads[place] = content
    np.testing.assert_array_equal(pads[place], content)
    np.testing.assert_array_equal(pads.activations[2, 51], content[1, 1])
    before[1:4, 50:52] = content
    np.testing.assert_array_equal(pads.activations, before)
    with pytest.raises(IndexError, match="out of bounds"):
        pads[place._replace(words=place.words + TINY.activation_words)]


@pytest.mark.parametrize(
    "memory_bytes, operands, beats",
    [
        (16, {}, 3 * 4),
        (16, {"int16": 1}, 3 * 2),
        (16, {"more_words": 6, "int16": 1}, 9 * 2),
        (64, {"more_words": 6}, 9),
        (64, {"more_words": 6, "int16": 1}, 5),
    ],
)
def test_a_store_writes_whole_beats(memory_bytes, operands, beats):
    engine, operands = replace(TINY, memory_bytes=memory_bytes), {"row_words": 3} | operands
    assert stored_words(operands) == (9 if "more_words" in operands else 3)
    assert stored_beats(operands, engine) == beats
