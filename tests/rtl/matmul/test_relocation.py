"""Tokens that stay go to their places: a projection in the whole matmul unit."""

import random
from dataclasses import replace

import numpy as np
import pytest

from rtl.isa.instructions import Destination, Format
from rtl.isa.scratchpads import Scratchpads, places_of
from tests.rtl.matmul.bench import Bench, execute
from tests.rtl.matmul.test_unit import CONFIGS, check_equal

WORDS = 3  # of a token
BLOCKS = ((0, 2), (2, 1))  # of weights: first row tile, row tiles
TOKENS = 19


def config_of(name):
    """An engine that selects tokens."""
    return replace(CONFIGS[name], select_tokens=256)


def kept_tokens(name):
    """Tokens that stay, the last two always."""
    choose = random.Random(name)
    patches = TOKENS - 2
    chosen = {
        "all": range(patches),
        "one": [choose.randrange(patches)],
        "the first": [0],
        "odd ones": range(1, patches, 2),
        "all but the first": range(1, patches),
    }.get(name, [t for t in range(patches) if choose.random() < 0.6])
    return np.array([*chosen, TOKENS - 2, TOKENS - 1])


def projection(config, address):
    """MATMULs to KEPT: every token tile of each block of weights, in order."""
    lanes = config.token_lanes
    return [
        {
            "activation_address": 2 * first,
            "depth_words": 2,
            "act_signed": 1,
            "weight_address": 5 * first,
            "row_tiles": count,
            "bits8": 0b10,
            "parameter_address": first,
            "destination": Destination.KEPT,
            "format": Format.INT16,
            "accumulate": 1,
            "residual_shift": 1,
            "destination_address": address + first + WORDS * (token // 4),
            "destination_stride": WORDS,
            "token": token,
            "lane_count": min(lanes, TOKENS - token),
        }
        for first, count in BLOCKS
        for token in range(0, TOKENS, lanes)
    ]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("small", "all"),
        ("small", "one"),
        ("small", "the first"),
        ("small", "odd ones"),
        ("small", "all but the first"),
        ("least", "some"),
        ("six_tokens", "some"),
        ("act8", "some"),
        ("ecp5", "some"),
    ],
)
def test_a_projection_writes_tokens_that_stay_to_their_places(name, kept):
    """Back to back; in between, a product that is no projection leaves for where it belongs."""
    config = config_of(name)
    memory, expected = Scratchpads(config), Scratchpads(config)
    memory.places[: TOKENS + 1] = places_of(kept_tokens(kept), TOKENS + 1)
    expected.places[:] = memory.places
    ops = projection(config, address=10)
    plain = ops[0] | {"destination": Destination.RESIDUAL, "accumulate": 0, "token": 2}
    ops.insert(len(ops) // 2, plain | {"destination_address": 40})
    bench = Bench(config, memory, stride=WORDS)

    async def scenario(bench, ctx):
        for number, op in enumerate(ops):
            await bench.issue(ctx, op, number=number)
        await bench.finish(ctx, len(ops))

    bench.run(scenario)
    execute(expected, ops)
    check_equal(memory, expected)


def test_it_waits_for_the_selection():
    """MATMULs to KEPT are not taken while a selection is under way; others are."""
    config = config_of("small")
    bench = Bench(config, Scratchpads(config), stride=WORDS)
    op = projection(config, 10)[0]

    async def scenario(bench, ctx):
        ctx.set(bench.unit.selecting, 1)
        await bench.issue(ctx, op | {"destination": Destination.RESIDUAL}, number=0)
        ctx.set(bench.unit.i.p.operands.destination, Destination.KEPT)
        ctx.set(bench.unit.i.valid, 1)
        for _ in range(20):
            await ctx.tick()
            assert not ctx.get(bench.unit.i.ready)
        ctx.set(bench.unit.selecting, 0)
        await bench.issue(ctx, op, number=1)
        await bench.finish(ctx, 2)

    bench.run(scenario)
    assert len(bench.done) == 2 and bench.accepted[1] > bench.accepted[0] + 20
