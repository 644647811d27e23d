"""Which image a tap's record belongs to, and what the records of selected tokens say."""

import numpy as np
import pytest

from rtl.config import TINY_SELECT
from rtl.isa.scratchpads import NOWHERE
from rtl.memory import ports
from sim.check import Source, image_of_records, tap_layouts
from sim.taps import WORD_BITS, Tap


@pytest.mark.parametrize(
    ("numbers", "images", "expected"),
    [
        ([3, 3, 7, 9, 3, 3, 7, 9], 2, [0, 0, 0, 0, 1, 1, 1, 1]),
        ([5, 5, 5, 5, 5, 5], 3, [0, 0, 1, 1, 2, 2]),  # one instruction alone writes here
        ([4, 8], 1, [0, 0]),
        ([4, 8, 4, 8, 4], 2, [0, 0, 1, 1, 1]),  # too many: they count to the last image
        ([], 2, []),
    ],
)
def test_numbers_fall_back_where_an_image_begins(numbers, images, expected):
    assert image_of_records(np.array(numbers, int), images).tolist() == expected


def writes_of(path, buffer, *beats):
    """The writes of instruction 7, whose payloads are the ``beats``, from a file of them."""
    layout = tap_layouts(TINY_SELECT)[buffer]
    words = -(-layout.size // WORD_BITS)
    records = []
    for beat in beats:
        bits = layout.const(beat | {"number": 7}).as_value().value
        records.append([0, *(bits >> WORD_BITS * i & 0xFFFFFFFF for i in range(words))])
    path.write_bytes(np.array(records, np.uint32).tobytes())
    source = Source(Tap(path, layout), buffer, TINY_SELECT, 1)
    return source.writes(0, 7) if beats else source


def test_places_are_read_from_flags_and_the_first_one(tmp_path):
    """Tokens 6 to 13: two stay, the second, the first, none; the first to stay has place 5."""
    beats = [
        {"word": 3 + i, "first": first, "place": {"kept": kept, "index": first % 4, "down": i}}
        for i, (kept, first) in enumerate([(0b11, 5), (0b10, 7), (0b01, 8), (0b00, 9)])
    ]
    found = writes_of(tmp_path / "places.bin", "places", *beats)
    assert found.words.tolist() == [3, 4, 5, 6]
    assert found.values[:, :2].tolist() == [[5, 6], [NOWHERE, 7], [8, NOWHERE], [NOWHERE] * 2]
    assert found.values[:3, 2:].tolist() == [[1, 0], [3, 1], [0, 2]]


def test_importance_comes_four_keys_at_a_time(tmp_path):
    scores = [1, 2, 3, (1 << ports.IMPORTANCE.width) - 1]
    found = writes_of(tmp_path / "sums.bin", "importance", {"word": 2, "scores": scores})
    assert (found.words.tolist(), found.values.tolist()) == ([2], [scores])
    assert found.enabled.all()


def test_a_tap_without_a_write_has_none(tmp_path):
    """As that of half of the residual of two tokens."""
    assert not writes_of(tmp_path / "none.bin", "residual").has(0, 7)
