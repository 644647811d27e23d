"""LoopNest and OperandAddressGenerator against the loops in Python: words, cycles, addresses."""

import random

import pytest

from rtl.matmul.loop_nest import LoopNest, OperandAddressGenerator
from tests.rtl.matmul.loops import beats_of, passes_of, steps_of
from tests.rtl.matmul.test_unit import random_op
from tests.rtl.simulation import simulate
from tests.rtl.sizes import ODD, TINY

ACT6, ACT8 = TINY, ODD


def random_ops(config, seed: int, count: int) -> list[dict[str, int]]:
    choose = random.Random(seed)
    return [random_op(config, choose) for _ in range(count)]


def prepared(op: dict[str, int]) -> dict:
    return {
        "dispatch": {"operands": op},
        "lane_last": op["lane_first"] + op["lane_count"] - 1,
        "beats": beats_of(op),
    }


def run_loop_nest(config, ops, gaps) -> tuple[list, list[int], int]:
    """Steps with their cycles, cycles in which instructions are taken, words held back."""
    dut, choose = LoopNest(config.act_bits), random.Random(0)
    seen, taken, waiting = [], [], list(ops)
    stalled, cycle, pause = 0, 0, 0
    words = sum(len(steps_of(op, config.act_bits, config.weight_words)) for op in ops)

    async def bench(ctx):
        nonlocal stalled, cycle, pause
        for cycle in range(5000):
            offers = bool(waiting) and not pause
            ctx.set(dut.i.valid, offers)
            if offers:
                ctx.set(dut.i.p, prepared(waiting[0]))
            pause = max(0, pause - 1)
            if ctx.get(dut.o.word.valid):
                seen.append((cycle, ctx.get(dut.o)))
            stalled += ctx.get(dut.stall_drain)
            if offers and ctx.get(dut.i.ready):
                taken.append(cycle)
                waiting.pop(0)
                pause = choose.choice(gaps)
            await ctx.tick()
            if len(seen) == words:
                return
        raise AssertionError(f"{len(seen)} of {words} words")

    simulate(dut, bench)
    return seen, taken, stalled


@pytest.mark.parametrize("gaps", [(0,), (0, 1, 40)])
@pytest.mark.parametrize("config", [ACT6, ACT8], ids=["act6", "act8"])
def test_words_of_random_instructions(config, gaps):
    ops = random_ops(config, 1, 25)
    seen, _, _ = run_loop_nest(config, ops, gaps)
    expected = [(op, step) for op in ops for step in steps_of(op, config.act_bits, 57)]
    for (_, o), (op, step) in zip(seen, expected, strict=True):
        assert o.tile.row_tile == step.row_tile
        assert o.tile.final == (step.row_tile == op["row_tiles"] - 1)
        assert o.tile.lane_last == op["lane_first"] + op["lane_count"] - 1
        assert o.tile.dispatch.operands.destination_address == op["destination_address"]
        assert (o.word.first, o.word.last) == (step.first, step.last)
        assert o.word.shift_before == step.shift_before
        assert (o.new_words, o.again) == (step.new_words, step.again)
        assert o.tile_start == step.first
        assert o.high_nibble == step.high_nibble
        assert step.high_slice is None or o.high_slice == step.high_slice
        assert o.word.w_signed == (step.high_nibble or not step.bits8)
        assert o.word.a_signed == (op["act_signed"] and not op["activations"])


def test_cycles_and_words_held_back_for_the_drain():
    """Instructions back to back: a row tile takes its words, or the beats of the one before."""
    ops = [op | {"depth_words": 1 + n % 2} for n, op in enumerate(random_ops(ACT8, 3, 20))]
    seen, taken, stalled = run_loop_nest(ACT8, ops, (0,))
    assert seen[0][0] - taken[0] == LoopNest.LATENCY
    expected, before, held = [], 0, 0
    last = seen[0][0] - 1
    for op in ops:
        for row_tile in range(op["row_tiles"]):
            words = len(passes_of(op, row_tile, ACT8.act_bits)) * op["depth_words"]
            held += max(0, before - words)
            last += max(words, before)
            before = beats_of(op)
            expected.append(last)
    assert [cycle for cycle, o in seen if o.word.last] == expected
    assert stalled == held > 0


@pytest.mark.parametrize("bubbles", [(0,), (0, 0, 1, 3)])
@pytest.mark.parametrize("config", [ACT6, ACT8], ids=["act6", "act8"])
def test_addresses(config, bubbles):
    """Every word's addresses, LATENCY cycles after its step; the ring wraps."""
    weight_words, choose = 11, random.Random(5)
    ops = [op | {"weight_address": op["weight_address"] % 11} for op in random_ops(config, 2, 25)]
    inputs, expected = [], []
    for op in ops:
        for number, step in enumerate(steps_of(op, config.act_bits, weight_words)):
            tile = {"dispatch": {"operands": op}, "row_tile": step.row_tile}
            inputs.append(
                {
                    "word": {"valid": 1, "first": step.first, "last": step.last},
                    "start": number == 0,
                    "tile_start": step.first,
                    "again": step.again,
                    "new_words": step.new_words,
                    "tile": tile,
                }
            )
            expected.append((step.activation, step.weight))
            for _ in range(choose.choice(bubbles)):
                inputs.append({"word": {"valid": 0}, "tile": tile})
                expected.append(None)
    dut = OperandAddressGenerator(weight_words)

    async def bench(ctx):
        for cycle in range(len(inputs) + dut.LATENCY):
            ctx.set(dut.i, inputs[cycle] if cycle < len(inputs) else {})
            if cycle >= dut.LATENCY and expected[cycle - dut.LATENCY]:
                assert ctx.get(dut.o.word.valid)
                found = ctx.get(dut.activation), ctx.get(dut.weight)
                assert found == expected[cycle - dut.LATENCY]
            await ctx.tick()

    simulate(dut, bench)
