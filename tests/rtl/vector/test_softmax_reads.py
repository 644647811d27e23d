"""Reads of softmax: every beat of random instructions, with stalls, and the cycles between them."""

import random

import pytest

from rtl.model import numerics
from rtl.vector.softmax_reads import SoftmaxAddressGenerator
from tests.rtl.streams import FLOWS, pass_through

LANES = 12


def random_operands(choose: random.Random, row_lanes: int) -> dict[str, int]:
    first, key_words = choose.randrange(LANES), choose.choice([1, 1, 2, 3])
    return {
        "source_address": choose.randrange(1 << 12),
        "source_stride": choose.randrange(1 << 6),
        "key_words": key_words,
        "keys": choose.randint(1, key_words * row_lanes),
        "lane_first": first,
        "lane_count": choose.randint(1, LANES - first),
    }


def beats_of(operands: dict[str, int], keys: int, parts: int) -> list[dict[str, int]]:
    """Beats of an instruction: ``keys`` of one lane each."""
    first, beats = operands["lane_first"], []
    last_lane = first + operands["lane_count"] - 1
    positions = operands["key_words"] * parts
    for lane in range(first, last_lane + 1):
        for position in range(positions):
            word = lane // 4 * operands["source_stride"] + position // parts
            last = position == positions - 1
            beats.append(
                {
                    "word": operands["source_address"] + word,
                    "lane": lane,
                    "position": position,
                    "keys_left": max(0, operands["keys"] - position * keys),
                    "dither": numerics.dither(position * keys),
                    "first": position == 0,
                    "last": last,
                    "final": last and lane == last_lane,
                }
            )
    return beats


@pytest.mark.parametrize(("idle", "refuse"), FLOWS)
@pytest.mark.parametrize("parts", [1, 4])
def test_beats_of_random_instructions(parts, idle, refuse):
    choose, keys = random.Random(parts), 8 // parts
    ops = [random_operands(choose, 8) for _ in range(20)]
    inputs = [{"operands": op, "number": number} for number, op in enumerate(ops)]
    expected = [(n, beat) for n, op in enumerate(ops) for beat in beats_of(op, keys, parts)]
    dut = SoftmaxAddressGenerator(keys, parts)
    transfers = pass_through(dut, inputs, len(expected), idle=idle, refuse=refuse)
    for found, (number, beat) in zip(transfers.payloads, expected, strict=True):
        assert {name: getattr(found, name) for name in beat} == beat
        assert found.dispatch.number == number
    if not refuse:
        for number, op in enumerate(ops):
            cycles = [c for c, found in transfers.given if found.dispatch.number == number]
            first = transfers.taken[number] + 1 + op["lane_first"] // 4
            assert cycles == list(range(first, first + len(cycles)))
