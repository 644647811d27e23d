"""Memory at DeiT-S's width has a bound: the published figures, and a stage measured here."""

import json

from tests.nas.memory import RESULT, STAGES, Measurement

MOST_BYTES = 3e9


def test_published_figures_stay_below_the_limit():
    found = json.loads(RESULT.read_text())
    assert (found["images"], found["depth"]) == (64, 12)
    assert tuple(found["stages"]) == STAGES
    for stage, figures in found["stages"].items():
        assert figures["peak_bytes"] < MOST_BYTES, stage


def test_gradients_of_many_images_are_not_kept_at_once():
    """All 64 at once would take 0.8 GB more than the libraries do; they go in portions."""
    small = Measurement(images=64, depth=2)
    start, stage = (small.measured(name)["peak_bytes"] for name in ("start", "importance"))
    assert stage - start < 0.5e9
