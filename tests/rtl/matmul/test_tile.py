"""Dot-product tiles against NumPy: sign modes, passes, bubbles, the second register set."""

import random

import pytest
from amaranth.hdl import Value

from rtl.arith.cascade import Cascade
from rtl.arith.packing import SIGN_MODES, pack, packing
from rtl.matmul.signals import WordFlags
from rtl.matmul.tile import ArrayTile
from rtl.model.numerics import code_range
from tests.rtl.simulation import simulate

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
                "valid": 1,
                "first": index == 0,
                "shift_before": shift,
                "last": index == count - 1,
                "w_signed": w_signed,
                "a_signed": a_signed,
            }
            words.append({"flags": flags, "weights": weights, "activations": activations})
            words += [{"flags": {"valid": 0, "first": 1, "last": 1}}] * choose.choice([0, 0, 1, 2])
        words[-1] = words[-1] | {"sums": [list(row) for row in acc]}
        words += [{"flags": {"valid": 0}}] * 2
    return words


def stimuli(choose: random.Random, depth: int, packs) -> tuple[list[dict], dict[int, int]]:
    """A tile's inputs, cycle by cycle, and its sums at the cycles from which they stand."""
    words = random_words(choose, depth, packs, packs.act_bits)
    delay, latency = ArrayTile.word_delay(depth, packs), ArrayTile.latency(depth, packs)
    cascade = min(packs.cascade, depth)
    cycles, expected, sums = [], {}, None
    for now in range(len(words) + latency):
        cycle = {"activations": 0, "weights": 0, "is_signed": 0, "word": 0}
        for d in range(depth):
            index = now - Cascade.skew(d % cascade)
            if 0 <= index < len(words) and "weights" in words[index]:
                word = words[index]
                for port, bits, spacing in (
                    ("weights", packs.weight_port_bits, packs.weight.spacing),
                    ("activations", packs.activation_port_bits, packs.activation.spacing),
                ):
                    operand = pack([codes[d] for codes in word[port]], spacing)
                    cycle[port] |= (operand & (1 << bits) - 1) << d * bits
        if now < len(words):
            flags = words[now]["flags"]
            cycle["is_signed"] = flags.get("w_signed", 0) | flags.get("a_signed", 0)
        if 0 <= now - delay < len(words):
            cycle["word"] = WordFlags.const(words[now - delay]["flags"]).as_value().value
        if now >= latency:
            flags = words[now - latency]["flags"]
            if flags["valid"] and flags.get("last"):
                rows = next(w["sums"] for w in words[now - latency :] if "sums" in w)
                values = [value & WRAP - 1 for token in rows for value in token]
                sums = sum(value << 27 * n for n, value in enumerate(values))
            if sums is not None:
                expected[now] = sums
        cycles.append(cycle)
    return cycles, expected


@pytest.mark.parametrize(
    ("depth", "act_bits", "multiplier"),
    [
        (4, 6, "dsp48e2"),
        (16, 6, "dsp48e2"),
        (8, 4, "dsp48e2"),
        (4, 8, "dsp48e2"),
        (4, 6, "mult18x18"),
        (8, 8, "mult18x18"),
    ],
)
def test_row_tiles_with_random_passes(depth, act_bits, multiplier):
    packs = packing(4, act_bits, multiplier)
    dut = ArrayTile(depth, packs)
    cycles, expected = stimuli(random.Random(depth * act_bits), depth, packs)
    assert len(expected) > len(cycles) // 2

    async def testbench(ctx):
        for now, inputs in enumerate(cycles):
            for name, value in inputs.items():
                ctx.set(Value.cast(getattr(dut, name)), value)
            if now in expected:
                assert ctx.get(Value.cast(dut.sums)) == expected[now]
            await ctx.tick()

    simulate(dut, testbench)


def test_latency_counts_cascade_tree_and_registers():
    assert ArrayTile.latency(16, packing(4, 6, "dsp48e2")) == (2 + 2) + 2 + 2
    assert ArrayTile.latency(8, packing(4, 8, "mult18x18")) == (2 + 2) + 2 + 2
    assert ArrayTile.latency(4, packing(4, 8, "dsp48e2")) == (2 + 4) + 0 + 2
