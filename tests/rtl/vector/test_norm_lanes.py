"""Channels of LayerNorm against plain integers: squares, normalised values, codes, side by side."""

import random

import pytest

from rtl.model.numerics import code_range
from rtl.vector.norm_lanes import NormCode, NormLane, NormLanes
from tests.rtl.rigid import stream_through
from tests.rtl.sizes import SIZES

NAMES = [config.name for config in SIZES]


def clip(value: int, bits: int, is_signed: bool) -> int:
    low, high = code_range(bits, is_signed)
    return max(low, min(high, value))


def random_scalar(choose: random.Random) -> dict[str, int]:
    return {
        "factor": choose.getrandbits(26),
        "offset": choose.choice([0, choose.randint(-(1 << 41), (1 << 41) - 1)]),
        "shift": choose.choice([choose.randint(24, 40), choose.randrange(60)]),
    }


def random_channel(choose: random.Random) -> dict:
    residual = choose.choice([-32768, 32767, 0, choose.randint(-32768, 32767)])
    return {
        "residual": residual,
        "squares": 0,
        "scalar": random_scalar(choose),
        "exponent": choose.randrange(4),
    }


def normal(x: dict, act_bits: int) -> int:
    """One more fraction bit than the code, and two bits beyond its range."""
    scalar = x["scalar"]
    total = x["residual"] * scalar["factor"] + scalar["offset"]
    return clip(total >> scalar["shift"] + x["exponent"], act_bits + 3, True)


@pytest.mark.parametrize("act_bits", [4, 6, 8])
def test_normalised_values(act_bits):
    choose = random.Random(act_bits)
    inputs = [random_channel(choose) for _ in range(600)]
    outputs = stream_through(NormLane(act_bits), inputs, NormLane.LATENCY)
    expected = [normal(x, act_bits) for x in inputs]
    assert [output["normal"] for output in outputs] == expected
    assert len(set(expected)) > 40


def test_squares():
    choose = random.Random(2)
    inputs = [random_channel(choose) | {"squares": 1} for _ in range(200)]
    for x in inputs:
        x["scalar"]["offset"] = 0
    outputs = stream_through(NormLane(6), inputs, NormLane.SQUARE_LATENCY)
    assert [output["square"] for output in outputs] == [x["residual"] ** 2 for x in inputs]


@pytest.mark.parametrize("act_bits", [4, 6, 8])
def test_codes_of_all_normalised_values(act_bits):
    most = (1 << act_bits) - 1
    inputs = [
        {"normal": value, "zero": zero, "signed": is_signed}
        for is_signed, zeros in ((1, [0]), (0, [0, 1, most // 2, most]))
        for zero in zeros
        for value in range(-(1 << act_bits + 2), 1 << act_bits + 2)
    ]
    outputs = stream_through(NormCode(act_bits), inputs, NormCode.LATENCY)
    assert [output["code"] for output in outputs] == [
        clip(x["zero"] + (x["normal"] + 1 >> 1), act_bits, x["signed"]) & most for x in inputs
    ]


@pytest.mark.parametrize("config", SIZES, ids=NAMES)
def test_lanes_side_by_side(config):
    """Pass 1 and pass 2 take turns: squares without the offset, codes of both tokens."""
    choose, lanes, dut = random.Random(config.name), config.norm_lanes, NormLanes(config)
    inputs = []
    for _ in range(60):
        is_signed = choose.randrange(2)
        inputs.append(
            {
                "residuals": [[choose.randint(-32768, 32767) for _ in range(lanes)] for _ in "ab"],
                "squaring": choose.randrange(2),
                "scalars": [random_scalar(choose) for _ in "ab"],
                "exponents": [choose.randrange(4) for _ in range(lanes)],
                "zero": 0 if is_signed else choose.randrange(1 << config.act_bits),
                "signed": is_signed,
            }
        )
    squares = stream_through(dut, inputs, dut.SQUARE_LATENCY)
    codes = stream_through(NormLanes(config), inputs, dut.LATENCY)
    for x, square, code in zip(inputs, squares, codes, strict=True):
        for token in range(2):
            residuals = x["residuals"][token]
            if x["squaring"]:
                assert list(square["squares"][token]) == [r * r for r in residuals]
                continue
            for lane, residual in enumerate(residuals):
                channel = {
                    "residual": residual,
                    "scalar": x["scalars"][token],
                    "exponent": x["exponents"][lane],
                }
                value = x["zero"] + (normal(channel, config.act_bits) + 1 >> 1)
                expected = clip(value, config.act_bits, x["signed"]) % (1 << config.act_bits)
                assert code["codes"][token][lane] == expected
