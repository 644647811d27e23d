"""The whole matmul unit against the meaning of its instruction."""

import random
from dataclasses import replace

import numpy as np
import pytest

from rtl.config import TINY
from rtl.isa.instructions import Activations, Destination, Format, Weights
from rtl.isa.scratchpads import Scratchpads
from tests.rtl.matmul.bench import Bench, execute

SMALL = replace(
    TINY,
    name="small",
    token_lanes=4,
    row_lanes=8,
    depth_lanes=4,
    activation_words=256,
    pixel_words=64,
    key_words=64,
    value_words=64,
    score_words=64,
    residual_words=64,
    weight_words=57,
    parameter_words=64,
)
CONFIGS = {
    "small": SMALL,
    "least": replace(SMALL, name="least", token_lanes=2, row_lanes=4, memory_bytes=8),
    "act4": replace(SMALL, name="act4", act_bits=4),
    "act8": replace(SMALL, name="act8", act_bits=8, score_slots=4),
    "ecp5": replace(SMALL, name="ecp5", multiplier="mult18x18"),
    "six_tokens": replace(
        SMALL, name="six_tokens", token_lanes=6, row_lanes=16, depth_lanes=16, score_slots=3
    ),
    "tiny": replace(TINY, activation_words=256, pixel_words=64, weight_words=57),
}


def random_op(config, choose: random.Random) -> dict[str, int]:
    """Any instruction that the contracts allow, within half of each buffer."""
    rows, depth, tokens = config.row_lanes, config.depth_lanes, config.token_lanes
    destination = choose.choice([place for place in Destination if place != Destination.KEPT])
    weights = choose.choice(list(Weights))
    activations = Activations.CODES
    if weights == Weights.RING:
        activations = choose.choice(list(Activations))
    depth_words = choose.choice([1, 1, 2, 3, 5])
    row_tiles = choose.choice([1, 1, 2, 3])
    first = choose.choice([0, choose.randrange(tokens)])
    gelu = destination == Destination.ACTIVATIONS and choose.random() < 0.5
    formats = {
        Destination.ACTIVATIONS: [Format.ACT_SIGNED, Format.ACT_UNSIGNED],
        Destination.RESIDUAL: [Format.INT16],
    }.get(destination, [Format.INT8])
    accumulate = destination == Destination.RESIDUAL and choose.random() < 0.5
    return {
        "activations": activations,
        "weights": weights,
        "act_signed": choose.randrange(2),
        "activation_address": choose.randrange(8),
        "depth_words": depth_words,
        "weight_address": choose.randrange(config.weight_words if weights == 0 else 4),
        "weight_step": choose.randrange(6),
        "row_tiles": row_tiles,
        "bits8": choose.getrandbits(32),
        "parameter_address": choose.randrange(8),
        "destination": destination,
        "format": Format.INT8 if gelu else choose.choice(formats),
        "gelu": gelu,
        "gelu_table": choose.randrange(2),
        "accumulate": accumulate,
        "residual_shift": choose.choice([0, 0, 1, 3, 15]),
        "token_scale": choose.randrange(2),
        "slot": choose.randrange(config.score_slots),
        "destination_address": (48 if accumulate else 32) + choose.randrange(3),
        "destination_stride": choose.randrange(3, 6) if tokens <= 8 else 3,
        "token": 2 * choose.randrange(40),
        "lane_first": first,
        "lane_count": choose.randint(1, tokens - first),
        "keys": choose.randrange(1, row_tiles * rows + 3),
        "mask_first": choose.randrange(3) * (depth < rows),
        "mask_count": choose.choice([0, 1, 2, 100]),
    }


def check_equal(memory: Scratchpads, expected: Scratchpads) -> None:
    for name in ("activations", "keys", "values", "scores", "residual"):
        np.testing.assert_array_equal(getattr(memory, name), getattr(expected, name), name)


@pytest.mark.parametrize(
    ("name", "count", "gaps"),
    [
        ("small", 30, (0,)),
        ("small", 10, (70,)),
        ("least", 20, (0, 30)),
        ("act4", 15, (0,)),
        ("act8", 15, (0,)),
        ("ecp5", 10, (0,)),
        ("six_tokens", 8, (0,)),
        ("tiny", 8, (0,)),
    ],
)
def test_random_instructions_equal_the_model(name, count, gaps):
    """All sources, passes, destinations, masks and strides; back to back and one by one."""
    config, choose = CONFIGS[name], random.Random(f"{name} {gaps}")
    ops = [random_op(config, choose) for _ in range(count)]
    memory, expected = Scratchpads(config), Scratchpads(config)
    if gaps != (70,):
        ops = independent(ops)
    bench = Bench(config, memory)

    async def scenario(bench, ctx):
        if any(op["gelu"] for op in ops):
            await bench.load_gelu(ctx)
        for number, op in enumerate(ops):
            await bench.issue(ctx, op, number=number, signal=number % 32)
            for _ in range(choose.choice(gaps)):
                await ctx.tick()
        await bench.finish(ctx, len(ops))

    bench.run(scenario)
    execute(expected, ops)
    check_equal(memory, expected)
    for op in ops:
        if op["destination"] == Destination.SCORES:
            lanes = op["slot"], slice(op["lane_first"], op["lane_first"] + op["lane_count"])
            assert memory.maxima[lanes].tolist() == expected.maxima[lanes].tolist()
    assert [(done.number, done.signal) for done in bench.done] == [
        (number, number % 32) for number in range(len(ops))
    ]


def independent(ops: list[dict[str, int]]) -> list[dict[str, int]]:
    """Instructions that may overlap: none reads what one before it writes.

    (In a program semaphores see to that.) Sources stay in the lower half of each buffer,
    destinations are in the upper one; residual words that are added to are written but once.
    """
    chosen, added = [], False
    for op in ops:
        if op["accumulate"]:
            if added:
                continue
            added = True
        chosen.append(op)
    return chosen
