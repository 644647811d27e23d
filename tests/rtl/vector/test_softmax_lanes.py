"""Lanes of softmax against golden: weights, their sum, the scale of a token's context."""

import random

import numpy as np
import pytest
from amaranth.hdl import Signal

from rtl.arith.reciprocal import Reciprocal
from rtl.model import numerics
from rtl.vector.softmax_lanes import ContextScale, SoftmaxLanes, WeightSum
from sim.golden import ops
from tests.rtl.rigid import stream_through
from tests.rtl.simulation import simulate
from tests.rtl.sizes import NARROW, SIZES

NAMES = [config.name for config in SIZES]


@pytest.mark.parametrize("config", SIZES, ids=NAMES)
def test_weights_of_a_row_beat_by_beat(config):
    """Beats of rows of keys, the last ones padding; one scale and one maximum per row."""
    choose, lanes = random.Random(config.name), config.softmax_lanes
    inputs, expected = [], []
    for _ in range(20):
        count = choose.randint(1, 4 * lanes)
        scores = np.array([choose.randint(-3000, 3000) for _ in range(count)])
        multiplier, shift = choose.randint(1 << 16, (1 << 17) - 1), choose.randint(18, 24)
        weights = ops.softmax_weights(scores, multiplier, shift, config.act_bits)
        for first in range(0, count, lanes):
            beat, padding = scores[first : first + lanes].tolist(), [0] * lanes
            inputs.append(
                {
                    "scores": (beat + [choose.randint(-9, 9) for _ in padding])[:lanes],
                    "maximum": int(scores.max()),
                    "multiplier": multiplier,
                    "shift": shift,
                    "keys_left": count - first,
                    "dither": numerics.dither(first) % 256,
                }
            )
            expected.append((weights[first : first + lanes].tolist() + padding)[:lanes])
    outputs = stream_through(SoftmaxLanes(config), inputs, SoftmaxLanes.LATENCY)
    assert [list(output["weights"]) for output in outputs] == expected
    assert any(any(weights) for weights in expected)


@pytest.mark.parametrize("config", SIZES, ids=NAMES)
def test_sums_of_weights_with_idle_cycles(config):
    """The sum stands ``latency`` cycles after its beat, until the next one."""
    choose, dut, latency = random.Random(3), WeightSum(config), WeightSum.latency(config)
    cycles, totals, total = [], [], 0
    for index in range(120):
        first = index == 0 or choose.random() < 0.25
        valid = first or choose.random() < 0.7
        most = (1 << config.act_bits) - 1
        weights = [
            choose.choice([0, most, choose.randint(0, most)]) for _ in range(config.softmax_lanes)
        ]
        if valid:
            total = sum(weights) + (0 if first else total)
        cycles.append({"valid": valid, "first": first, "weights": weights})
        totals.append(total)
    outputs = stream_through(dut, cycles, latency)
    assert [output["total"] for output in outputs] == totals


def test_a_reset_empties_the_sum_s_pipeline():
    """A beat before the reset does not count afterwards."""
    dut, reset, latency = WeightSum(NARROW), Signal(), WeightSum.latency(NARROW)
    weights = [1] * NARROW.softmax_lanes

    async def bench(ctx):
        ctx.set(dut.weights, weights)
        ctx.set(dut.first, 1)
        ctx.set(dut.valid, 1)
        await ctx.tick().repeat(latency)
        assert ctx.get(dut.total) == len(weights)
        ctx.set(dut.first, 0)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        ctx.set(dut.valid, 0)
        before = ctx.get(dut.total)
        await ctx.tick().repeat(latency + 1)
        assert ctx.get(dut.total) == before

    simulate(dut, bench, reset=reset)


def test_context_scales():
    choose, most = random.Random(1), (1 << Reciprocal.TOTAL_BITS) - 1
    totals = [1, 2, 3, most, *(1 << n for n in range(Reciprocal.TOTAL_BITS))]
    lengths = [choose.randint(1, Reciprocal.TOTAL_BITS - 1) for _ in range(200)]
    totals += [choose.randint(1, 1 << length) for length in lengths]
    inputs = [
        {
            "total": total,
            "multiplier": choose.randrange(1 << 15, 1 << 16),
            "shift": choose.randrange(29),
        }
        for total in totals
    ]
    outputs = stream_through(ContextScale(), inputs, ContextScale.LATENCY)
    for x, output in zip(inputs, outputs, strict=True):
        multiplier, shift = ops.context_scale(x["total"], x["multiplier"], x["shift"])
        assert (output["scale"].multiplier, output["scale"].shift) == (multiplier, shift)
