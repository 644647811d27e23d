"""OperandPacker and MultiplierArray: staggered operands; sums, and when they can be read."""

import random
from dataclasses import replace

import pytest

from rtl.arith.cascade import Cascade
from rtl.arith.packing import SIGN_MODES, pack, packing
from rtl.matmul.array import MultiplierArray, OperandPacker
from rtl.matmul.signals import QUAD, quads
from rtl.model.numerics import code_range
from tests.rtl.simulation import simulate
from tests.rtl.sizes import SMALL

CONFIGS = {
    "two_tokens": SMALL,
    "six_tokens": replace(SMALL, token_lanes=6, act_bits=6),
    "act8": replace(SMALL, act_bits=8, token_lanes=4),
    "ecp5": replace(SMALL, act_bits=6, multiplier="mult18x18"),
}


@pytest.mark.parametrize("act_bits", [4, 6, 8])
def test_operands_are_packed_and_staggered(act_bits):
    packs, lanes, depth = packing(4, act_bits, "dsp48e2"), 4, 8
    operand, cascade = packs.activation, min(packs.cascade, depth)
    dut, choose = OperandPacker(lanes, depth, operand, cascade), random.Random(1)
    cycles = []
    for _ in range(30):
        is_signed = bool(choose.randrange(2))
        ends = code_range(act_bits, is_signed)
        cycles.append(
            (is_signed, [[choose.randint(*ends) for _ in range(depth)] for _ in range(4)])
        )
    mask = (1 << act_bits) - 1

    async def bench(ctx):
        for now in range(len(cycles) + 12):
            is_signed, codes = cycles[min(now, len(cycles) - 1)]
            ctx.set(dut.is_signed, is_signed)
            ctx.set(dut.i, [[code & mask for code in lane] for lane in codes])
            for k in range(lanes // operand.count):
                for d in range(depth):
                    then = now - dut.LATENCY - Cascade.skew(d % cascade)
                    if 0 <= then < len(cycles):
                        lane = cycles[then][1][k * operand.count : (k + 1) * operand.count]
                        expected = pack([codes[d] for codes in lane], operand.spacing)
                        assert ctx.get(dut.o[k][d]) == expected
            await ctx.tick()

    simulate(dut, bench)


def random_tile(config, choose: random.Random) -> tuple[list[dict], list[list[int]]]:
    """Words of one row tile with random passes and bubbles, and its sums by token and row."""
    tokens, rows, depth = config.token_lanes, config.row_lanes, config.depth_lanes
    sums = [[0] * rows for _ in range(tokens)]
    words, count = [], choose.randint(1, 4)
    for index in range(count):
        w_signed, a_signed = choose.choice(SIGN_MODES)
        w_ends, a_ends = code_range(4, w_signed), code_range(config.act_bits, a_signed)
        weights = [[choose.randint(*w_ends) for _ in range(depth)] for _ in range(rows)]
        activations = [[choose.randint(*a_ends) for _ in range(depth)] for _ in range(tokens)]
        shift = index > 0 and choose.random() < 0.5
        for t, a in enumerate(activations):
            for r, w in enumerate(weights):
                dot = sum(x * y for x, y in zip(a, w, strict=True))
                sums[t][r] = (sums[t][r] << 4 * shift) + dot
        flags = {
            "valid": 1,
            "first": index == 0,
            "last": index == count - 1,
            "shift_before": shift,
            "w_signed": w_signed,
            "a_signed": a_signed,
        }
        a_mask = (1 << config.act_bits) - 1
        words.append(
            {
                "word": flags,
                "weights": [[w & 15 for w in row] for row in weights],
                "activations": [[a & a_mask for a in token] for token in activations],
            }
        )
        if index < count - 1:
            words += [{"word": {"first": 1, "last": 1}}] * choose.choice([0, 0, 1])
    return words, sums


@pytest.mark.parametrize("name", CONFIGS)
def test_sums_of_row_tiles(name):
    """Every quad can be read from ``latency`` on, until the next row tile takes its place."""
    config, choose = CONFIGS[name], random.Random(name)
    dut, latency = MultiplierArray(config), MultiplierArray.latency(CONFIGS[name])
    words, tiles = [], []
    for _ in range(10):
        tile, sums = random_tile(config, choose)
        words += [{"word": {}}] * 2 * quads(config.token_lanes) + tile
        tiles.append((len(words) - 1 + latency, sums))
    selected, expected = {}, {}
    ends = [start for start, _ in tiles[1:]] + [tiles[-1][0] + 2 * quads(config.token_lanes)]
    for (start, sums), end in zip(tiles, ends, strict=True):
        for quad in range(quads(config.token_lanes)):
            for cycle in (start + quad, end - 1 - quad):
                selected[cycle] = quad
                expected[cycle + dut.SELECT_LATENCY] = sums[QUAD * quad : QUAD * (quad + 1)]

    async def bench(ctx):
        for now in range(max(expected) + 1):
            word = words[now] if now < len(words) else {"word": {}}
            ctx.set(dut.word, word["word"])
            if "weights" in word:
                ctx.set(dut.weights, word["weights"])
                ctx.set(dut.activations, word["activations"])
            ctx.set(dut.select, selected.get(now, 0))
            if now in expected:
                found = [list(ctx.get(lane)) for lane in dut.quad]
                assert found[: len(expected[now])] == expected[now]
            await ctx.tick()

    simulate(dut, bench)
    assert len(expected) >= 20


def test_latency():
    assert {name: MultiplierArray.latency(config) for name, config in CONFIGS.items()} == {
        "two_tokens": 10,
        "six_tokens": 9,
        "act8": 10,
        "ecp5": 10,
    }
