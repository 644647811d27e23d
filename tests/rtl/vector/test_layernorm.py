"""NormUnit against golden: values, stalls, reset, and the cycles that it promises."""

import random

import pytest

from rtl.vector.layernorm import NormUnit
from tests.rtl.sizes import NARROW, ODD, SIZES, SMALL, TINY
from tests.rtl.unit_bench import every_span, whole_tile
from tests.rtl.vector.norm_bench import Bench, check, make_case

NAMES = [config.name for config in SIZES]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("config", SIZES, ids=NAMES)
def test_values(config, seed):
    rng = random.Random(seed)
    cases = [make_case(config, rng, number) for number in range(1, 13)]
    check(config, cases, Bench(config, cases).run())


@pytest.mark.parametrize(("read", "write"), [(0.5, 0), (0, 0.9), (0.3, 0.3)])
@pytest.mark.parametrize("config", SIZES, ids=NAMES)
def test_stalls_leave_the_output_unchanged(config, read, write):
    rng = random.Random(7)
    cases = [make_case(config, rng, number) for number in range(1, 7)]
    free = Bench(config, cases).run()
    slow = Bench(config, cases, refuse_read=read, refuse_write=write).run()
    check(config, cases, slow)
    assert [codes for _, codes in slow.writes] == [codes for _, codes in free.writes]
    assert not any(free.stalls.values())
    assert (slow.stalls["stall_read"] > 0) == (read > 0)
    assert (slow.stalls["stall_write"] > 0) == (write > 0)


@pytest.mark.parametrize("read", [0, 0.3, 0.7])
def test_pairs_of_one_beat_do_not_collide(read):
    rng = random.Random(3)
    words = [2, 1, 1, 3, 1, 1, 1, 2, 1, 1]
    cases = [make_case(ODD, rng, n, row_words=count) for n, count in enumerate(words, 1)]
    check(ODD, cases, Bench(ODD, cases, refuse_read=read).run())


@pytest.mark.parametrize("reset_at", [40, 70])
def test_reset_in_mid_stream(reset_at):
    rng = random.Random(8)
    tile = whole_tile(TINY) | {"row_words": 3}
    cases = [make_case(TINY, rng, number, **tile) for number in range(1, 5)]
    check(TINY, cases, Bench(TINY, cases, reset_at=reset_at).run())


@pytest.mark.parametrize("config", SIZES, ids=NAMES)
def test_every_choice_of_lanes(config):
    rng = random.Random(9)
    spans = enumerate(every_span(config), 1)
    cases = [make_case(config, rng, n, **span, row_words=1 + n % 2) for n, span in spans]
    check(config, cases, Bench(config, cases).run())


@pytest.mark.parametrize("row_words", [1, 3, 12])
@pytest.mark.parametrize("config", SIZES, ids=NAMES)
def test_latency_of_one_instruction(config, row_words):
    case = make_case(config, random.Random(1), 1, **whole_tile(config), row_words=row_words)
    result = Bench(config, [case]).run()
    pairs = config.token_lanes // 2
    expected = single(config, pairs, row_words * config.norm_parts)
    assert result.done[0][0] - result.taken[0] == expected


def single(config, pairs, beats):
    """Cycles from taking a lone instruction to ``done``: one issue slot after the other."""
    slot, sums, codes = 0, [0, 0], [0, 0]  # pair and beat that each pass issues next
    ready, pause = {}, -1
    while codes[0] < pairs:
        slot += 1
        if ready.get(codes[0], slot + 1) <= slot:
            codes = [codes[0], codes[1] + 1] if codes[1] + 1 < beats else [codes[0] + 1, 0]
        elif sums[0] < pairs and slot != pause:
            if sums[1] + 1 < beats:
                sums = [sums[0], sums[1] + 1]
            else:
                ready[sums[0]] = slot + NormUnit.pair_cycles(config)
                pause = slot + 1 if beats == 1 else -1
                sums = [sums[0] + 1, 0]
    return slot + NormUnit.DONE_CYCLES


@pytest.mark.parametrize(("config", "row_words"), [(TINY, 3), (ODD, 12), (SMALL, 12), (NARROW, 4)])
def test_throughput_is_a_beat_per_cycle_over_both_passes(config, row_words):
    """Once the pipeline is full, an instruction takes twice its beats, and at most two cycles."""
    rng = random.Random(2)
    count = 24
    tile = whole_tile(config) | {"row_words": row_words}
    cases = [make_case(config, rng, number, **tile) for number in range(1, count + 1)]
    result = Bench(config, cases).run()
    check(config, cases, result)
    done = [cycle for cycle, *_ in result.done]
    beats = config.token_lanes // 2 * row_words * config.norm_parts
    assert 2 * beats <= (done[-1] - done[11]) / (count - 12) <= 2 * beats + 2


def test_latencies():
    assert NormUnit.DONE_CYCLES == 17
    pair_cycles = {config.name: NormUnit.pair_cycles(config) for config in SIZES}
    assert pair_cycles == {"tiny": 41, "small": 40, "odd": 41, "narrow": 40}
