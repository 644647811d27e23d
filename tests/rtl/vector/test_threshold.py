"""ThresholdSearch against a sorted list, and the cycles that it promises."""

from dataclasses import replace

import numpy as np
import pytest

from rtl.memory.ports import selection_lanes
from rtl.vector.threshold import ThresholdSearch
from tests.rtl.simulation import simulate
from tests.rtl.sizes import HALVES, SMALL, TINY
from tests.rtl.vector.importance_memory import ScoreMemory, odd_scores

ENGINES = [replace(engine, select_tokens=256) for engine in (TINY, SMALL, HALVES)]


@pytest.mark.parametrize("patches", [1, 5, 16, 37])
@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_threshold_and_ties(engine, patches):
    """One search after the other, from keep 1 to keep all; never reading beyond the patches."""
    rng, dut = np.random.default_rng(patches), ThresholdSearch(engine)
    cases = [
        (scores, keep)
        for scores in odd_scores(rng, patches)
        for keep in sorted({1, patches // 2 or 1, patches})
    ]

    async def bench(ctx):
        for scores, keep in cases:
            memory = ScoreMemory(dut, scores, selection_lanes(engine))
            ctx.set(dut.patches, patches)
            ctx.set(dut.keep, keep)
            ctx.set(dut.start, 1)
            for cycle in range(ThresholdSearch.cycles(engine, patches) + 1):
                memory.step(ctx)
                done = ctx.get(dut.done)
                assert done == (cycle == ThresholdSearch.cycles(engine, patches))
                if not done:
                    await ctx.tick()
                    ctx.set(dut.start, 0)
            order = np.sort(scores)[::-1]
            limit = order[keep - 1]
            assert ctx.get(dut.threshold) == limit
            assert ctx.get(dut.ties) == keep - (scores > limit).sum()
            await ctx.tick()

    simulate(dut, bench)


def test_cycles_of_the_largest_engine():
    """196 patches on 32 row lanes: 8 passes of 13 words, and 8 cycles until each is decided."""
    engine = replace(TINY, row_lanes=32, depth_lanes=16, select_tokens=256)
    assert ThresholdSearch.cycles(engine, 196) == 2 + 8 * (13 + 8) + 2
