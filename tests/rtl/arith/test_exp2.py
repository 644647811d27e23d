"""Exp2 against golden: every distance in octaves, random scales, invalid keys."""

import random

import numpy as np
import pytest

from rtl.arith.exp2 import Exp2
from rtl.model import numerics
from sim.golden import ops
from tests.rtl.rigid import stream_through

TOP = (1 << (numerics.SCORE_BITS - 1)) - 1


def expected(x, act_bits):
    """Golden's weight of the key whose dither it is, in a row that also holds the maximum."""
    if not x["valid"]:
        return 0
    key = x["dither"] * pow(numerics.DITHER_STEP, -1, 256) % 256
    scores = np.full(257, x["score"])
    scores[256] = x["maximum"]
    return int(ops.softmax_weights(scores, x["multiplier"], x["shift"], act_bits)[key])


def check(inputs, act_bits):
    dut = Exp2(act_bits)
    outputs = stream_through(dut, inputs, dut.LATENCY)
    assert [o["weight"] for o in outputs] == [expected(x, act_bits) for x in inputs]


@pytest.mark.parametrize("act_bits", numerics.ACT_BITS)
def test_every_distance(act_bits):
    rng = random.Random(act_bits)
    base = {"maximum": 100, "multiplier": 1, "shift": 0, "valid": 1}
    distances = [*range(numerics.EXP2_MAX + 3), 1 << 20]
    check([base | {"score": 100 - d, "dither": rng.getrandbits(8)} for d in distances], act_bits)


@pytest.mark.parametrize("act_bits", numerics.ACT_BITS)
def test_random_scores_and_scales(act_bits):
    rng = random.Random(act_bits)
    inputs = []
    for _ in range(1500):
        multiplier = rng.randint(1, (1 << 17) - 1)
        shift = rng.randint(0, 47)
        maximum = rng.randint(-TOP - 1, TOP)
        reach = min(maximum + TOP + 1, (5000 << shift) // multiplier)
        inputs.append(
            {
                "maximum": maximum,
                "score": maximum - rng.randint(0, reach),
                "multiplier": multiplier,
                "shift": shift,
                "dither": rng.getrandbits(8),
                "valid": rng.random() < 0.9,
            }
        )
    inputs.append(inputs[0] | {"maximum": TOP, "score": -TOP - 1, "valid": 1})
    inputs.append(inputs[0] | {"maximum": -5, "score": TOP, "valid": 0})
    check(inputs, act_bits)


def test_latency():
    assert Exp2.LATENCY == 9
