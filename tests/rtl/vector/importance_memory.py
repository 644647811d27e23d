"""Scores of importance behind a read port."""

from typing import Any

import numpy as np
from amaranth.lib import wiring

from rtl.memory.ports import IMPORTANCE, READ_LATENCY
from tests.rtl.vector.softmax_bench import pack


class ScoreMemory:
    """Importance as a reader sees it: words that come READ_LATENCY cycles later.

    Parameters
    ----------
    dut : component with a port ``read``
    scores : (keys,) int
    lanes : int
        Scores of a word.
    """

    def __init__(self, dut: wiring.Component, scores: np.ndarray, lanes: int):
        self.read = dut.read
        padded = np.resize(np.append(scores, (1 << IMPORTANCE.width) - 1), 4 * len(scores) + 64)
        padded[: len(scores)] = scores  # behind them whatever there is
        self.words = padded[: len(padded) // lanes * lanes].reshape(-1, lanes)
        self.most = -(-len(scores) // lanes)
        self.pipe = [0] * READ_LATENCY

    def step(self, ctx: Any) -> None:
        """Answer an old request, take note of this cycle's."""
        ctx.set(self.read.data.as_value(), self.pipe.pop(0))
        word = ctx.get(self.read.request)
        assert not ctx.get(self.read.enable) or word < self.most
        content = self.words[word % len(self.words)]
        self.pipe.append(pack(content, IMPORTANCE.width) if ctx.get(self.read.enable) else 0)


def odd_scores(rng: np.random.Generator, patches: int) -> list[np.ndarray]:
    """Scores with many and with few ties: random, all equal, two values, the largest ones."""
    top = (1 << IMPORTANCE.width) - 1
    return [
        rng.integers(0, top + 1, patches),
        np.full(patches, 77),
        rng.choice([5, 5 + (1 << 21)], patches),
        top - rng.integers(0, 2, patches),
        np.zeros(patches, np.int64),
    ]
