"""Banks: words of every depth, read one per cycle while others are written."""

import random
from dataclasses import replace

import pytest

from rtl.config import KV260, ULX3S, ZCU102
from rtl.memory.ports import READ_LATENCY
from rtl.memory.scratchpads.bank import (
    Bank,
    LutBank,
    UltraBank,
    bank_kind,
    block_depths,
    ultra_depths,
)
from tests.rtl.simulation import simulate


@pytest.mark.parametrize(
    "depth, depths",
    [(512, [512]), (2560, [2048, 512]), (1536, [1024, 512]), (1100, [1024, 128]), (1792, [2048]),
     (2, [2]), (3, [4]), (5, [4, 2])],
)  # fmt: skip
def test_block_depths(depth, depths):
    assert block_depths(depth) == depths


def test_depths_of_rows_of_ultrarams():
    assert [ultra_depths(depth) for depth in (2, 4096, 4100, 16384)] == [
        [2], [4096], [4096, 4], [4096] * 4,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("engine", "scratchpad", "depth", "kind"),
    [
        (ZCU102, "keys", 64, LutBank),
        (ZCU102, "keys", 65, Bank),
        (ZCU102, "values", 512, Bank),
        (ZCU102, "exponents", 64, Bank),
        (KV260, "values", 64, LutBank),
        (KV260, "residual", 64, UltraBank),
        (replace(KV260, uram=("keys",)), "keys", 64, UltraBank),
        (replace(ULX3S, key_words=64), "keys", 64, Bank),
    ],
)
def test_kinds_of_banks(engine, scratchpad, depth, kind):
    """Shallow keys and values lie in the LUTs of UltraScale+, unless the engine says UltraRAM."""
    assert bank_kind(engine, scratchpad, depth) is kind


@pytest.mark.parametrize("kind", [Bank, LutBank, UltraBank])
@pytest.mark.parametrize("depth", [2, 3, 4, 5, 6, 7, 24, 4100])
def test_a_read_per_cycle(depth, kind):
    dut, rng = kind(depth, 2, 4), random.Random(depth)
    words = [0] * depth
    expected = []  # words of the latest reads; None where nothing was read

    async def bench(ctx):
        for _ in range(400):
            if len(expected) == READ_LATENCY and (word := expected.pop(0)) is not None:
                assert ctx.get(dut.read_data) == word
            read, write = rng.sample(range(depth), 2)
            reads, enable, value = rng.random() < 0.8, rng.randrange(4), rng.randrange(256)
            ctx.set(dut.read_enable, reads)
            ctx.set(dut.read_word, read)
            ctx.set(dut.write_enable, enable)
            ctx.set(dut.write_word, write)
            ctx.set(dut.write_data, value)
            expected.append(words[read] if reads else None)
            mask = (0x00, 0x0F, 0xF0, 0xFF)[enable]
            words[write] = words[write] & ~mask | value & mask
            await ctx.tick()

    simulate(dut, bench)
