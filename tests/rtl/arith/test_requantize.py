"""Requantizers against golden."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtl.arith.requantize import Requantize, RequantizeLane, format_bits
from rtl.isa.instructions import Format
from rtl.model.numerics import code_range
from sim.golden import ops
from tests.rtl.simulation import simulate

BIAS_LIMIT = 1 << 26


def requantized(act_bits: int, cases: list[tuple[int, int, int, int, Format]]) -> list[int]:
    """One case per cycle; the codes LATENCY cycles after each."""
    dut, codes = RequantizeLane(act_bits), []

    async def testbench(ctx):
        for now in range(len(cases) + dut.LATENCY):
            if now < len(cases):
                acc, bias, multiplier, shift, code_format = cases[now]
                ctx.set(dut.acc, acc)
                ctx.set(dut.scale, {"bias": bias, "multiplier": multiplier, "shift": shift})
                ctx.set(dut.format, code_format)
            if now >= dut.LATENCY:
                codes.append(ctx.get(dut.code))
            await ctx.tick()

    simulate(dut, testbench)
    return codes


def golden(act_bits: int, case: tuple[int, int, int, int, Format]) -> int:
    acc, bias, multiplier, shift, code_format = case
    limits = code_range(*format_bits(act_bits)[code_format])
    return int(ops.requantize(acc, bias, multiplier, shift, *limits))


def random_case(choose: random.Random) -> tuple[int, int, int, int, Format]:
    size = choose.choice([4, 10, 18, 25])
    acc, bias = choose.randint(-(1 << size), 1 << size), choose.randint(-(1 << size), 1 << size)
    acc = max(-BIAS_LIMIT + abs(bias), min(BIAS_LIMIT - 1 - abs(bias), acc))
    near = max(1, min(47, size + choose.randint(2, 20)))
    shift = choose.choice([near, choose.randint(1, 47)])
    return acc, bias, choose.randrange(1 << 17), shift, choose.choice(list(Format))


@pytest.mark.parametrize("act_bits", [4, 6, 8])
def test_a_stream_of_random_cases(act_bits):
    choose = random.Random(act_bits)
    cases = [random_case(choose) for _ in range(3000)]
    assert requantized(act_bits, cases) == [golden(act_bits, case) for case in cases]


ACC = st.integers(-(1 << 25), (1 << 25) - 1)
MULTIPLIER, SHIFT = st.integers(0, (1 << 17) - 1), st.integers(1, 47)
CASE = st.tuples(ACC, ACC, MULTIPLIER, SHIFT, st.sampled_from(Format))


@settings(max_examples=60, deadline=None)
@given(st.lists(CASE, min_size=1, max_size=8))
def test_any_valid_case(cases):
    assert requantized(6, cases) == [golden(6, case) for case in cases]


def test_ends_of_ranges_and_halves():
    """Values next to each limit and exactly half way between codes."""
    cases = []
    for code_format, (bits, signed) in format_bits(6).items():
        for limit in code_range(bits, signed):
            for half_units in range(2 * limit - 4, 2 * limit + 5):
                cases.append((half_units, 0, 1 << 3, 4, code_format))
    assert requantized(6, cases) == [golden(6, case) for case in cases]


def test_padded_rows_give_zero():
    assert requantized(6, [(123, 0, 0, shift, Format.INT16) for shift in (0, 1, 47)]) == [0, 0, 0]


def test_the_vector_is_lanes_side_by_side():
    dut = Requantize(3, 6)
    choose = random.Random(0)
    cases = [random_case(choose)[:4] for _ in range(3)]

    async def testbench(ctx):
        for lane, (acc, bias, multiplier, shift) in enumerate(cases):
            ctx.set(dut.acc[lane], acc)
            scale = {"bias": bias, "multiplier": multiplier, "shift": shift}
            ctx.set(dut.scales[lane], scale)
        ctx.set(dut.format, Format.INT8)
        await ctx.tick().repeat(dut.LATENCY)
        for lane, case in enumerate(cases):
            assert ctx.get(dut.codes[lane]) == golden(6, (*case, Format.INT8))

    simulate(dut, testbench)
