"""Pass 1 of LayerNorm against golden: sums, variance, scalars, and the queue of pairs."""

import random
from collections import deque

import numpy as np
import pytest

from rtl.model import numerics
from rtl.vector.norm_lanes import NormLane
from rtl.vector.norm_statistics import NormScalars, NormStatistics, NormSums, NormVariance
from sim.golden import ops
from tests.rtl.rigid import stream_through
from tests.rtl.simulation import simulate
from tests.rtl.sizes import SIZES

NAMES = [config.name for config in SIZES]


def random_values(choose: random.Random, count: int) -> list[int]:
    spread = choose.choice([0, 5, 500, 32767])
    center = choose.randint(spread - 32768, 32767 - spread)
    return [center + choose.randint(-spread, spread) for _ in range(count)]


def random_parameters(choose: random.Random, width: int) -> dict[str, int]:
    return {
        "width": width,
        "epsilon": choose.choice([1, choose.getrandbits(20) + 1, (1 << 32) - 1]),
        "gain": choose.randint(1 << 15, (1 << 16) - 1),
        "shift": choose.randrange(16),
    }


def totals_of(values: list[int]) -> dict[str, int]:
    return {"values": sum(values), "squares": sum(v * v for v in values)}


def variance_of(totals: dict[str, int], parameters: dict[str, int]) -> int:
    width = parameters["width"]
    return width * totals["squares"] - totals["values"] ** 2 + parameters["epsilon"]


def scalar_of(totals: dict[str, int], parameters: dict[str, int]) -> dict[str, int]:
    """A, B and s - 1 of docs/numerics.md, section 4."""
    k, e = (int(x) for x in ops.rsqrt(np.array(variance_of(totals, parameters))))
    k = k * parameters["gain"] >> 16
    return {
        "factor": parameters["width"] * k,
        "offset": -totals["values"] * k,
        "shift": e + parameters["shift"] - 1,
    }


def as_dict(view, names) -> dict[str, int]:
    return {name: getattr(view, name) for name in names}


@pytest.mark.parametrize("config", SIZES, ids=NAMES)
def test_sums_of_channels(config):
    """Beats with idle cycles between them; squares come when the lanes have them."""
    choose, lanes = random.Random(config.name), config.norm_lanes
    dut, latency = NormSums(config), NormSums.latency(config)
    cycles, expected, values = [], [], []
    for index in range(150):
        first = index == 0 or choose.random() < 0.2
        valid = first or choose.random() < 0.7
        beat = random_values(choose, lanes)
        if valid:
            values = [*([] if first else values), *beat]
        cycles.append((valid, first, beat))
        expected.append(totals_of(values))

    async def bench(ctx):
        for now in range(len(cycles) + latency):
            valid, first, beat = cycles[min(now, len(cycles) - 1)]
            ctx.set(dut.valid, valid and now < len(cycles))
            ctx.set(dut.first, first)
            ctx.set(dut.values, beat)
            squared = now - NormLane.SQUARE_LATENCY
            if 0 <= squared < len(cycles):
                ctx.set(dut.squares, [value * value for value in cycles[squared][2]])
            if now >= latency:
                found = as_dict(ctx.get(dut.totals), ("values", "squares"))
                assert found == expected[now - latency]
            await ctx.tick()

    simulate(dut, bench)


def random_tokens(choose: random.Random, count: int) -> list[dict]:
    """Totals and parameters of tokens, those of the largest widths and values among them."""
    tokens = []
    for _ in range(count):
        width = choose.choice([1, 8, numerics.MAX_WIDTH, choose.randint(2, 200)])
        values = [choose.choice([-32768, 32767])] * width if choose.random() < 0.2 else None
        totals = totals_of(values or random_values(choose, width))
        tokens.append({"totals": totals, "parameters": random_parameters(choose, width)})
    return tokens


def test_variances():
    tokens = random_tokens(random.Random(1), 200)
    inputs = [
        {
            "totals": token["totals"],
            "width": token["parameters"]["width"],
            "epsilon": token["parameters"]["epsilon"],
        }
        for token in tokens
    ]
    outputs = stream_through(NormVariance(), inputs, NormVariance.LATENCY)
    assert [x["variance"] for x in outputs] == [variance_of(**token) for token in tokens]


def test_scalars_of_tokens():
    tokens = random_tokens(random.Random(2), 200)
    outputs = stream_through(NormScalars(), tokens, NormScalars.LATENCY)
    for token, output in zip(tokens, outputs, strict=True):
        expected = scalar_of(**token)
        assert as_dict(output["scalar"], expected) == expected


@pytest.mark.parametrize("config", SIZES, ids=NAMES)
def test_pairs_of_tokens(config):
    """Beats of pairs as close as they may be; scalars in order, ``ready`` when they enter."""
    choose, lanes, depth = random.Random(config.name), config.norm_lanes, 32
    dut, latency = NormStatistics(config, depth), NormStatistics.latency(config)
    beats, expected, ends = [], [], []
    for _ in range(30):
        count = choose.choice([1, 2, 3])
        if count == 1 and beats and beats[-1] and beats[-1]["last"]:
            beats.append(None)
        tokens = [random_values(choose, count * lanes) for _ in "ab"]
        parameters = random_parameters(choose, count * lanes)
        for n in range(count):
            values = [token[n * lanes : (n + 1) * lanes] for token in tokens]
            flags = {"first": n == 0, "last": n == count - 1}
            beats.append(flags | {"values": values, "parameters": parameters})
        ends.append(len(beats) - 1)
        expected.append([scalar_of(totals_of(token), parameters) for token in tokens])
        beats += [None] * choose.choice([0, 0, 0, 2])
    ready, pairs = [], []

    async def bench(ctx):
        history = deque([None] * NormLane.SQUARE_LATENCY)
        for now in range(len(beats) + latency + 20):
            beat = beats[now] if now < len(beats) else None
            history.append(beat)
            ctx.set(dut.valid, beat is not None)
            if beat:
                ctx.set(dut.first, beat["first"])
                ctx.set(dut.last, beat["last"])
                ctx.set(dut.values, beat["values"])
                ctx.set(dut.parameters, beat["parameters"])
            if squared := history.popleft():
                ctx.set(dut.squares, [[v * v for v in token] for token in squared["values"]])
            ctx.set(dut.pairs.ready, choose.random() < 0.5)
            if ctx.get(dut.ready):
                ready.append(now)
            if ctx.get(dut.pairs.valid) and ctx.get(dut.pairs.ready):
                pairs.append(ctx.get(dut.pairs.p))
            await ctx.tick()

    simulate(dut, bench)
    assert ready == [end + latency for end in ends]
    for pair, scalars in zip(pairs, expected, strict=True):
        assert [as_dict(scalar, scalars[0]) for scalar in pair] == scalars
