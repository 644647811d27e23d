"""Dot-product tiles against NumPy: sign modes, passes, bubbles, the second register set."""

import random

import pytest
from amaranth.sim import Simulator

from rtl.arith.packing import SIGN_MODES, pack, packing
from rtl.matmul.tile import Tile
from rtl.numerics import code_range

WRAP = 1 << 27


def wrapped(value: int) -> int:
    return (value + WRAP // 2) % WRAP - WRAP // 2


def random_words(choose: random.Random, depth: int, packs, act_bits: int) -> list[dict]:
    """Words of several row tiles with random passes and bubbles, and each tile's sums."""
    words = []
    for _ in range(6):
        acc = [[0] * packs.row_pack for _ in range(packs.token_pack)]
        count = choose.randint(1, 5)
        for index in range(count):
            w_signed, a_signed = choose.choice(SIGN_MODES)
            w_ends, a_ends = code_range(4, w_signed), code_range(act_bits, a_signed)
            pick = choose.choice([choose.randint, lambda low, high: choose.choice([low, high])])
            weights = [[pick(*w_ends) for _ in range(depth)] for _ in range(packs.row_pack)]
            activations = [[pick(*a_ends) for _ in range(depth)] for _ in range(packs.token_pack)]
            shift = choose.random() < 0.4
            for t, a in enumerate(activations):
                for r, w in enumerate(weights):
                    base = 0 if index == 0 else acc[t][r] << 4 * shift
                    dot = sum(x * y for x, y in zip(a, w, strict=True))
                    acc[t][r] = wrapped(base + dot)
            flags = {
                "valid": 1, "first": index == 0, "shift_before": shift, "last": index == count - 1,
                "w_signed": w_signed, "a_signed": a_signed,
            }  # fmt: skip
            words.append({"flags": flags, "weights": weights, "activations": activations})
            words += [{"flags": {"valid": 0, "first": 1, "last": 1}}] * choose.choice([0, 0, 1, 2])
        words[-1] = words[-1] | {"sums": [list(row) for row in acc]}
        words += [{"flags": {"valid": 0}}] * 2
    return words


@pytest.mark.parametrize(
    ("depth", "act_bits", "multiplier"),
    [(4, 6, "dsp48e2"), (16, 6, "dsp48e2"), (8, 4, "dsp48e2"), (4, 8, "dsp48e2"),
     (4, 6, "mult18x18"), (8, 8, "mult18x18")],
)  # fmt: skip
def test_row_tiles_with_random_passes(depth, act_bits, multiplier):
    packs, choose = packing(4, act_bits, multiplier), random.Random(depth * act_bits)
    dut = Tile(depth, packs)
    words = random_words(choose, depth, packs, act_bits)
    expected = {}  # cycle: sums, from LATENCY after each last word on
    sums = None
    for cycle, word in enumerate(words):
        if word["flags"].get("last") and word["flags"]["valid"]:
            sums = next(w["sums"] for w in words[cycle:] if "sums" in w)
        expected[cycle + dut.LATENCY] = sums

    async def testbench(ctx):
        for now in range(len(words) + dut.LATENCY):
            if now < len(words):
                ctx.set(dut.word, words[now]["flags"])
            for d in range(depth):
                index = now - d % dut.cascade
                if 0 <= index < len(words) and "weights" in words[index]:
                    word = words[index]
                    weights = [row[d] for row in word["weights"]]
                    activations = [token[d] for token in word["activations"]]
                    ctx.set(dut.weights[d], pack(weights, packs.weight_spacing))
                    ctx.set(dut.activations[d], pack(activations, packs.activation_spacing))
            if expected.get(now) is not None:
                assert [[ctx.get(row) for row in token] for token in dut.sums] == expected[now]
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


def test_latency_counts_cascade_tree_and_registers():
    assert Tile.latency(16, packing(4, 6, "dsp48e2")) == (2 + 2) + 3 + 2
    assert Tile.latency(4, packing(4, 8, "dsp48e2")) == (2 + 4) + 0 + 2
