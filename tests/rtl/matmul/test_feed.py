"""Feed and its parts: instructions prepared, operands selected, every word's operands and flags."""

import random
from dataclasses import replace

import numpy as np
import pytest

from rtl.isa.instructions import Activations, Destination, Weights
from rtl.isa.scratchpads import Scratchpads
from rtl.matmul.feed import AttentionNibbles, Feed, InstructionBuffer, OperandSelection
from rtl.memory.ports import READ_LATENCY
from tests.rtl.matmul.bench import bits_of, codes_of
from tests.rtl.matmul.loops import beats_of, steps_of
from tests.rtl.matmul.test_unit import CONFIGS, random_op
from tests.rtl.simulation import simulate
from tests.rtl.sizes import ODD, SMALL, TINY
from tests.rtl.streams import FLOWS, pass_through


@pytest.mark.parametrize(("idle", "refuse"), FLOWS)
@pytest.mark.parametrize("count", [1, 2, 25])
def test_the_buffer_prepares_each_instruction_once_in_order(count, idle, refuse):
    choose = random.Random(count)
    ops = [random_op(TINY, choose) for _ in range(count)]
    inputs = [{"operands": op, "number": number} for number, op in enumerate(ops)]
    dut = InstructionBuffer()
    transfers = pass_through(dut, inputs, count, idle=idle, refuse=refuse)
    for number, (prepared, op) in enumerate(zip(transfers.payloads, ops, strict=True)):
        assert prepared.dispatch.number == number
        assert prepared.dispatch.operands.parameter_address == op["parameter_address"]
        assert prepared.lane_last == op["lane_first"] + op["lane_count"] - 1
        assert prepared.beats == beats_of(op)
    if not refuse:
        cycles = zip(transfers.given, transfers.taken, strict=True)
        assert {given - taken for (given, _), taken in cycles} == {dut.LATENCY}


@pytest.mark.parametrize("destination", [Destination.SCORES, Destination.KEYS])
def test_beats_of_every_span_of_lanes(destination):
    ops = [
        {"destination": destination, "lane_first": first, "lane_count": last - first + 1}
        for first in range(12)
        for last in range(first, 12)
    ]
    transfers = pass_through(InstructionBuffer(), [{"operands": op} for op in ops], len(ops))
    assert [prepared.beats for prepared in transfers.payloads] == [beats_of(op) for op in ops]


def random_reads(config, random_numbers) -> dict[str, np.ndarray]:
    """Random answers of all scratchpads in one cycle."""
    tokens, rows, depth = config.token_lanes, config.row_lanes, config.depth_lanes
    draw = random_numbers.integers
    return {
        "codes": draw(0, 1 << config.act_bits, (tokens, depth)),
        "pixels": draw(0, 256, (tokens, depth)),
        "nibbles": draw(0, 16, (rows, depth)),
        "keys": draw(-128, 128, (rows, depth)),
        "values": draw(-128, 128, (depth, rows)),
    }


def test_nibbles_of_keys_and_values():
    config, random_numbers = SMALL, np.random.default_rng(1)
    dut, rows, depth = AttentionNibbles(config), config.row_lanes, config.depth_lanes

    async def bench(ctx):
        for case in range(40):
            reads = random_reads(config, random_numbers)
            of_values, high = case & 1, case >> 1 & 1
            ctx.set(dut.keys.as_value(), bits_of(reads["keys"], 8))
            ctx.set(dut.values.as_value(), bits_of(reads["values"], 8))
            ctx.set(dut.of_values, of_values)
            ctx.set(dut.high, high)
            codes = reads["values"].T if of_values else reads["keys"]
            found = codes_of(ctx.get(dut.o.as_value()), rows * depth, 4, False)
            assert (found.reshape(rows, depth) == (codes >> 4 * high) % 16).all()

    simulate(dut, bench)


@pytest.mark.parametrize("config", [SMALL, TINY, ODD], ids=["act4", "act6", "act8"])
def test_selection_of_sources_nibbles_and_slices(config):
    """All sources and halves; the word's flags beside the operands, ``LATENCY`` cycles later."""
    choose, random_numbers = random.Random(2), np.random.default_rng(2)
    dut, tokens, rows, depth = (
        OperandSelection(config),
        config.token_lanes,
        config.row_lanes,
        config.depth_lanes,
    )
    widths = {"codes": config.act_bits, "pixels": 8, "nibbles": 4, "keys": 8, "values": 8}
    cycles, expected = [], []
    for _ in range(60):
        reads = random_reads(config, random_numbers)
        activations, weights = choose.choice(list(Activations)), choose.choice(list(Weights))
        high_nibble, high_slice, flag = (choose.randrange(2) for _ in range(3))
        pixels = reads["pixels"]
        if config.act_bits < 8:
            pixels = (pixels >> 4 * high_slice) % 16
        of_rows = {
            Weights.RING: reads["nibbles"],
            Weights.KEYS: (reads["keys"] >> 4 * high_nibble) % 16,
            Weights.VALUES: (reads["values"].T >> 4 * high_nibble) % 16,
        }[weights]
        step = {
            "high_nibble": high_nibble,
            "high_slice": high_slice,
            "word": {"valid": flag, "w_signed": 1 - flag},
            "tile": {"dispatch": {"operands": {"activations": activations, "weights": weights}}},
        }
        cycles.append((reads, step))
        chosen = pixels if activations == Activations.PIXELS else reads["codes"]
        expected.append((chosen, of_rows, flag))

    async def bench(ctx):
        for cycle in range(len(cycles) + dut.LATENCY):
            if cycle < len(cycles):
                reads, step = cycles[cycle]
                ctx.set(dut.step, step)
                for name, codes in reads.items():
                    ctx.set(getattr(dut, name).as_value(), bits_of(codes, widths[name]))
            if cycle >= dut.LATENCY:
                chosen, of_rows, flag = expected[cycle - dut.LATENCY]
                found = ctx.get(dut.activations.as_value())
                codes = codes_of(found, tokens * depth, config.act_bits, False)
                assert (codes.reshape(tokens, depth) == chosen).all()
                found = codes_of(ctx.get(dut.weights.as_value()), rows * depth, 4, False)
                assert (found.reshape(rows, depth) == of_rows).all()
                assert ctx.get(dut.word.valid) == flag != ctx.get(dut.word.w_signed)
            await ctx.tick()

    simulate(dut, bench)


@pytest.mark.parametrize("name", ["small", "act8"])
def test_every_word_of_random_instructions(name):
    """Operands, flags and cycles of all words, and a row tile's announcement with its last step."""
    config, choose = replace(CONFIGS[name], weight_words=57), random.Random(4)
    ops = [random_op(config, choose) for _ in range(12)]
    memory, dut = Scratchpads(config), Feed(config)
    steps = [(op, step) for op in ops for step in steps_of(op, config.act_bits, 57)]
    words, tiles, taken = [], [], []

    def granule(bank, address):
        return bank.reshape(len(bank), -1, config.depth_lanes)[:, address]

    reads = [
        (dut.activations, config.act_bits, lambda a: granule(memory.activations, a)),
        (dut.pixels, 8, lambda a: memory.pixels[:, a]),
        (dut.weights, 4, lambda a: memory.ring[a]),
        (dut.keys, 8, lambda a: granule(memory.keys, a)),
        (dut.values, 8, lambda a: memory.values[:, a]),
    ]

    async def bench(ctx):
        waiting, cycle = list(enumerate(ops)), 0
        answers = [[0] * READ_LATENCY for _ in reads]
        while len(words) < len(steps):
            assert cycle < 3000
            ctx.set(dut.i.valid, bool(waiting))
            if waiting:
                number, op = waiting[0]
                ctx.set(dut.i.p, {"operands": op, "number": number})
            for (port, bits, answer), pending in zip(reads, answers, strict=True):
                ctx.set(port.data.as_value(), pending.pop(0))
                enabled = ctx.get(port.enable)
                codes = answer(ctx.get(port.request)) if enabled else 0
                pending.append(bits_of(codes, bits))
            if ctx.get(dut.tile_valid):
                tiles.append((cycle, ctx.get(dut.tile)))
            if ctx.get(dut.word.valid):
                operands = (dut.activation_words, dut.weight_words)
                found = (ctx.get(port.as_value()) for port in operands)
                words.append((cycle, ctx.get(dut.word), *found))
            if waiting and ctx.get(dut.i.ready):
                taken.append(cycle)
                waiting.pop(0)
            await ctx.tick()
            cycle += 1

    simulate(dut, bench)
    assert words[0][0] - taken[0] == Feed.START_CYCLES + Feed.LATENCY
    for (_, flags, activations, weights), (op, step) in zip(words, steps, strict=True):
        assert (flags.first, flags.last) == (step.first, step.last)
        assert flags.shift_before == step.shift_before
        if op["activations"] == Activations.PIXELS:
            codes = memory.pixels[:, step.activation]
            if step.high_slice is not None:
                codes = (codes >> 4 * step.high_slice) % 16
        else:
            codes = granule(memory.activations, step.activation)
        assert activations == bits_of(codes, config.act_bits)
        if op["weights"] == Weights.RING:
            rows = memory.ring[step.weight]
        elif op["weights"] == Weights.KEYS:
            rows = granule(memory.keys, step.weight) >> 4 * step.high_nibble
        else:
            rows = memory.values[:, step.weight].T >> 4 * step.high_nibble
        assert weights == bits_of(rows % 16, 4)
    lasts = [(cycle, pair) for (cycle, *_), pair in zip(words, steps, strict=True) if pair[1].last]
    for (cycle, tile), (word_cycle, (op, step)) in zip(tiles, lasts, strict=True):
        assert word_cycle - cycle == Feed.LATENCY
        assert tile.row_tile == step.row_tile
        assert tile.dispatch.operands.destination == op["destination"]


def test_scores_count_quads_of_lanes():
    op = {"lane_first": 3, "lane_count": 6}
    assert beats_of(op | {"destination": Destination.SCORES}) == 3
    assert beats_of(op | {"destination": Destination.KEYS}) == 4
