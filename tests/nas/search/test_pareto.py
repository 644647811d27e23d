"""The Pareto front, and its plot."""

from itertools import pairwise

import numpy as np
import pytest

from nas.digits import DIGITS
from nas.search import pareto
from nas.search.evolution import Candidate
from nas.search.evolution_state import Score
from nas.search.ranking import Outcome, Pick


def drawn(count: int) -> list[Candidate]:
    """Candidates of random error and cost, of which many are equal."""
    rng = np.random.default_rng(1)
    return [
        Candidate(
            DIGITS.smallest(),
            Score(0.5, (1 + rng.integers(20)) / 20),
            int(rng.integers(1, 30)),
            (1.0, 2.0),
        )
        for _ in range(count)
    ]


def test_front_holds_what_no_candidate_beats():
    candidates = drawn(60)
    front = pareto.front(candidates)
    for fast, slow in pairwise(front):
        assert fast.cycles < slow.cycles and pareto.loss(fast) > pareto.loss(slow)
    for candidate in candidates:
        assert any(
            f.cycles <= candidate.cycles and pareto.loss(f) <= pareto.loss(candidate) for f in front
        )


@pytest.mark.parametrize("objectives", [("cycles",), ("memory_bytes", "energy_joules")])
def test_plot_is_an_image(objectives, tmp_path):
    candidates = drawn(5)
    picks = [Pick(candidate, 5) for candidate in candidates[:3]]
    path = tmp_path / "pareto.png"
    outcomes = [Outcome(*picks, in_band=0.5)]
    pareto.plot(path, candidates, candidates, outcomes, (9000.0,), 1e8, "title", objectives)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [path]
