"""Cycles of the matmul unit, exactly, and reset in mid-stream."""

import random

import pytest

from rtl.isa.instructions import Activations, Destination, Format, Weights
from rtl.isa.scratchpads import Scratchpads
from rtl.matmul.unit import MatmulUnit
from tests.rtl.matmul.bench import Bench, execute
from tests.rtl.matmul.test_unit import CONFIGS, SMALL, check_equal, independent, random_op


def random_ops(config, choose: random.Random, count: int) -> list[dict[str, int]]:
    return independent([random_op(config, choose) | {"gelu": 0} for _ in range(count)])


def tile_words(config, op: dict[str, int]) -> list[int]:
    """Words of each row tile: passes times depth."""
    sliced = op["activations"] == Activations.PIXELS and config.act_bits < 8
    bits8 = [op["weights"] != Weights.RING or op["bits8"] >> i & 1 for i in range(op["row_tiles"])]
    return [op["depth_words"] * (1 + w) * (1 + sliced) for w in bits8]


def beats(op: dict[str, int]) -> int:
    """Beats of the drain for each row tile."""
    lanes = 4 if op["destination"] == Destination.SCORES else 2
    last = op["lane_first"] + op["lane_count"] - 1
    return last // lanes - op["lane_first"] // lanes + 1


def predicted_done(
    unit: MatmulUnit, first: int, ops: list[dict[str, int]]
) -> tuple[list[int], int]:
    """Cycles of the completions of instructions back to back, and of words held back."""
    last, before, stalled, done = first + unit.START_CYCLES - 1, 0, 0, []
    for op in ops:
        for words in tile_words(unit.config, op):
            stalled += max(0, before - words)
            last += max(words, before)
            before = beats(op)
        done.append(last + before + MatmulUnit.finish_cycles(unit.config))
    return done, stalled


@pytest.mark.parametrize("name", ["small", "least", "act8"])
def test_cycles_of_instructions_back_to_back(name):
    config, choose = CONFIGS[name], random.Random(name)
    ops = [op | {"depth_words": 2} for op in random_ops(config, choose, 15)]
    bench = Bench(config, Scratchpads(config))

    async def scenario(bench, ctx):
        for number, op in enumerate(ops):
            await bench.issue(ctx, op, number=number)
        await bench.finish(ctx, len(ops))

    bench.run(scenario)
    done, stalled = predicted_done(bench.unit, bench.accepted[0], ops)
    assert [completion.cycle for completion in bench.done] == done
    assert bench.stalled == stalled
    assert bench.busy == sum(sum(tile_words(config, op)) for op in ops)


def test_the_drain_limits_short_row_tiles():
    """One word per row tile, two beats: a row tile every two cycles, the last words wait."""
    config = SMALL
    op = {
        "depth_words": 1,
        "row_tiles": 20,
        "weights": Weights.RING,
        "format": Format.INT8,
        "destination": Destination.KEYS,
        "destination_address": 32,
        "lane_count": 4,
    }
    bench = Bench(config, Scratchpads(config))

    async def scenario(bench, ctx):
        await bench.issue(ctx, op, number=0)
        await bench.finish(ctx, 1)

    bench.run(scenario)
    expected = Scratchpads(config)
    execute(expected, [op])
    check_equal(bench.memory, expected)
    assert bench.stalled == 19
    done, _ = predicted_done(
        bench.unit, bench.accepted[0], [{"activations": 0, "bits8": 0, "lane_first": 0} | op]
    )
    assert bench.done[0].cycle == done[0]


@pytest.mark.parametrize("wait", [1, 9, 25])
def test_reset_in_mid_stream(wait):
    """Nothing of what was under way is written or completed later; then all runs as if new."""
    config, choose = SMALL, random.Random(wait)
    before = random_ops(config, choose, 3)
    after = random_ops(config, choose, 4)
    expected = Scratchpads(config)
    bench = Bench(config, Scratchpads(config))

    async def scenario(bench, ctx):
        for number, op in enumerate(before):
            await bench.issue(ctx, op, number=number)
        await ctx.tick().repeat(wait)
        await bench.pulse_reset(ctx)
        for name in ("activations", "keys", "values", "scores", "residual"):
            setattr(expected, name, getattr(bench.memory, name).copy())
        assert ctx.get(bench.unit.idle)
        bench.done.clear()
        await ctx.tick().repeat(60)
        check_equal(bench.memory, expected)
        assert not bench.done
        for number, op in enumerate(after):
            await bench.issue(ctx, op, number=number)
        await bench.finish(ctx, len(after))

    bench.run(scenario)
    execute(expected, after)
    check_equal(bench.memory, expected)
