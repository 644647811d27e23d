"""BeatSequence and Placement: which lanes leave when, and where their values go."""

import random

import pytest

from rtl.config import EngineConfig
from rtl.isa.instructions import Destination
from rtl.matmul.beats import BeatSequence, Placement
from tests.rtl.matmul.loops import beats_of
from tests.rtl.matmul.test_unit import random_op
from tests.rtl.rigid import stream_through
from tests.rtl.simulation import simulate
from tests.rtl.sizes import NARROW, ODD, SMALL, TINY

CONFIGS = [TINY, SMALL, ODD, NARROW]
NAMES = [config.name for config in CONFIGS]


def tile_of(op: dict[str, int], row_tile: int, final: bool) -> dict:
    return {
        "dispatch": {"operands": op},
        "lane_last": op["lane_first"] + op["lane_count"] - 1,
        "row_tile": row_tile,
        "final": final,
    }


def pairs_of(op: dict[str, int]) -> list[int]:
    """Pairs of lanes that the beats of a row tile begin with."""
    lanes = range(op["lane_first"], op["lane_first"] + op["lane_count"])
    if op["destination"] == Destination.SCORES:
        return sorted({lane // 4 * 2 for lane in lanes})
    return sorted({lane // 2 for lane in lanes})


@pytest.mark.parametrize("gaps", [(0,), (0, 1, 4)])
def test_beats_of_row_tiles(gaps):
    """One per cycle, the first ``LATENCY`` cycles after its row tile, as close as beats allow."""
    choose, dut = random.Random(1), BeatSequence()
    inputs, expected, cycle = {}, {}, 0
    for number in range(60):
        op = random_op(ODD, choose) | {"parameter_address": number}
        final = bool(choose.randrange(2))
        inputs[cycle] = tile_of(op, number % 32, final)
        pairs = pairs_of(op)
        assert len(pairs) == beats_of(op)
        for index, pair in enumerate(pairs):
            done = final and index == len(pairs) - 1
            expected[cycle + dut.LATENCY + index] = number, number % 32, pair, done
        cycle += len(pairs) + choose.choice(gaps)
    seen = {}

    async def bench(ctx):
        for now in range(cycle + 3):
            ctx.set(dut.tile_valid, now in inputs)
            ctx.set(dut.tile, inputs.get(now, {}))
            if ctx.get(dut.valid):
                beat = ctx.get(dut.beat)
                number = beat.tile.dispatch.operands.parameter_address
                seen[now] = number, beat.tile.row_tile, beat.pair, bool(beat.done)
            await ctx.tick()

    simulate(dut, bench)
    assert seen == expected


def placed(config: EngineConfig, op: dict[str, int], row_tile: int, pair: int) -> dict[str, int]:
    """Word, lanes, granules and keys of a beat, from docs/design/0001-engine.md."""
    group = {
        Destination.KEYS: config.row_lanes,
        Destination.VALUES: config.depth_lanes,
        Destination.RESIDUAL: 4,
    }.get(op["destination"], 1 << 20)
    token = op["token"] + 2 * pair
    groups = token // group - op["token"] // group
    if op["destination"] == Destination.SCORES:
        groups = pair // 2
    quad = range(pair // 2 * 4, pair // 2 * 4 + 4)
    lanes = range(op["lane_first"], op["lane_first"] + op["lane_count"])
    granules = range(row_tile * config.granules, (row_tile + 1) * config.granules)
    mask = range(op["mask_first"], op["mask_first"] + op["mask_count"])
    keys = range(row_tile * config.row_lanes, (row_tile + 1) * config.row_lanes)
    return {
        "word": op["destination_address"] + row_tile + op["destination_stride"] * groups,
        "enable": sum((lane in lanes) << k for k, lane in enumerate(quad)),
        "granules": sum((g in mask) << k for k, g in enumerate(granules)),
        "keys": sum((key < op["keys"]) << k for k, key in enumerate(keys)),
        "offset": token % group,
    }


@pytest.mark.parametrize("config", CONFIGS, ids=NAMES)
def test_placement_of_beats(config):
    choose, dut = random.Random(config.name), Placement(config)
    beats = []
    for _ in range(400):
        op = random_op(config, choose) | {"destination_stride": choose.randrange(1 << 8)}
        beats.append((op, choose.randrange(3), choose.choice(pairs_of(op))))
    inputs = [
        {"beat": {"tile": tile_of(op, row_tile, False), "pair": pair}, "valid": index % 3 != 1}
        for index, (op, row_tile, pair) in enumerate(beats)
    ]
    outputs = stream_through(dut, inputs, dut.LATENCY)
    for index, ((op, row_tile, pair), output) in enumerate(zip(beats, outputs, strict=True)):
        place, expected = output["o"], placed(config, op, row_tile, pair)
        assert output["o_valid"] == (index % 3 != 1)
        assert place.word == expected["word"]
        assert place.enable == expected["enable"]
        assert place.granules == expected["granules"]
        assert place.keys == expected["keys"]
        assert (place.beat.pair, place.beat.tile.row_tile) == (pair, row_tile)
        if op["destination"] in (Destination.KEYS, Destination.VALUES, Destination.RESIDUAL):
            group = 4 if op["destination"] == Destination.RESIDUAL else config.row_lanes
            group = config.depth_lanes if op["destination"] == Destination.VALUES else group
            assert place.token % group == expected["offset"]
