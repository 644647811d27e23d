"""PlaceWriter against golden's selection, and the cycles that it promises."""

from dataclasses import replace

import numpy as np
import pytest

from rtl.memory.ports import selection_lanes
from rtl.vector.places import PlaceWriter
from sim.golden import ops
from tests.rtl.simulation import simulate
from tests.rtl.sizes import SMALL, TINY
from tests.rtl.vector.importance_memory import ScoreMemory, odd_scores
from tests.rtl.vector.selection_bench import SelectCase, check_places, select_case

ENGINES = [replace(engine, select_tokens=256) for engine in (TINY, SMALL)]


async def write_places(ctx, dut, case: SelectCase, scores: np.ndarray, lanes: int) -> list[tuple]:
    """Run to ``done``, with the threshold that golden's choice has."""
    o = case.operands
    limit = np.sort(scores)[::-1][o["keep"] - 1]
    memory = ScoreMemory(dut, scores, lanes)
    ctx.set(dut.patches, o["patches"])
    ctx.set(dut.tokens, o["patches"] + o["others"])
    ctx.set(dut.stride, o["stride"])
    ctx.set(dut.threshold, int(limit))
    ctx.set(dut.ties, int(o["keep"] - (scores > limit).sum()))
    ctx.set(dut.number, case.number)
    ctx.set(dut.start, 1)
    written, cycles = [], PlaceWriter.cycles(o["patches"] + o["others"])
    for cycle in range(cycles + 1):
        memory.step(ctx)
        if ctx.get(dut.write.valid):
            beat = ctx.get(dut.write.beat)
            written.append((cycle, beat.number, beat.word, beat.place, beat.first))
        assert ctx.get(dut.done) == (cycle == cycles)
        await ctx.tick()
        ctx.set(dut.start, 0)
    return written


@pytest.mark.parametrize("patches, others", [(1, 1), (2, 0), (16, 5), (37, 1), (21, 24)])
@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_places(engine, patches, others):
    """Every number of patches that stay, of a few; ties, others, an odd last token."""
    rng, dut = np.random.default_rng(patches), PlaceWriter(engine)
    numbered = [
        (scores, select_case(number, patches, keep, others, stride=7))
        for scores in odd_scores(rng, patches)
        for number, keep in enumerate(sorted({1, patches // 3 or 1, patches}))
    ]

    async def bench(ctx):
        for scores, case in numbered:
            written = await write_places(ctx, dut, case, scores, selection_lanes(engine))
            check_places(case, scores, written)
            kept = sum(int(place.kept).bit_count() for _, _, _, place, _ in written)
            assert kept == len(ops.select(scores, case.operands["keep"])) + others

    simulate(dut, bench)
