"""SoftmaxUnit against golden: values, stalls, reset, and the cycles that it promises."""

import random
from itertools import pairwise

import pytest

from rtl.vector.softmax import SoftmaxUnit
from tests.rtl.sizes import ODD, SIZES, TINY
from tests.rtl.unit_bench import every_span, whole_tile
from tests.rtl.vector.softmax_bench import Bench, check, make_case

NAMES = [config.name for config in SIZES]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("config", SIZES, ids=NAMES)
def test_values(config, seed):
    rng = random.Random(seed)
    cases = [make_case(config, rng, number) for number in range(1, 13)]
    check(config, cases, Bench(config, cases).run())


@pytest.mark.parametrize("write", [0.5, 0.9])
@pytest.mark.parametrize("config", SIZES, ids=NAMES)
def test_stalls_leave_the_output_unchanged(config, write):
    rng = random.Random(7)
    cases = [make_case(config, rng, number) for number in range(1, 7)]
    free = Bench(config, cases).run()
    slow = Bench(config, cases, refuse_write=write).run()
    check(config, cases, slow)
    assert [codes for _, codes in slow.writes] == [codes for _, codes in free.writes]
    assert free.stalls["stall_write"] == 0 < slow.stalls["stall_write"]


@pytest.mark.parametrize("reset_at", [20, 47])
def test_reset_in_mid_stream(reset_at):
    rng = random.Random(8)
    cases = [make_case(TINY, rng, number, key_words=4) for number in range(1, 5)]
    check(TINY, cases, Bench(TINY, cases, reset_at=reset_at).run())


@pytest.mark.parametrize("config", SIZES, ids=NAMES)
def test_every_choice_of_lanes(config):
    rng = random.Random(9)
    spans = enumerate(every_span(config), 1)
    cases = [make_case(config, rng, number, **span, key_words=1) for number, span in spans]
    check(config, cases, Bench(config, cases).run())


@pytest.mark.parametrize("key_words", [1, 13])
@pytest.mark.parametrize("config", SIZES, ids=NAMES)
def test_latency_and_throughput(config, key_words):
    """One beat per cycle without gaps; two instructions, the second right behind the first."""
    rng = random.Random(1)
    tile = whole_tile(config) | {"key_words": key_words}
    cases = [make_case(config, rng, number, **tile) for number in (1, 2)]
    result = Bench(config, cases).run()
    check(config, cases, result)
    beats = config.token_lanes * key_words * config.softmax_parts
    assert result.taken[1] - result.taken[0] == beats + 1
    assert [done[0] - taken for done, taken in zip(result.done, result.taken, strict=True)] == [
        beats + SoftmaxUnit.done_cycles(config)
    ] * 2
    first = [cycle for cycle, _ in result.writes[:beats]]
    assert {later - earlier for earlier, later in pairwise(first)} <= {1}


def test_skipped_groups_of_lanes_cost_a_cycle_each():
    rng = random.Random(1)
    tile = {"lane_first": 5, "lane_count": 1, "key_words": 2}
    result = Bench(ODD, [make_case(ODD, rng, 1, **tile)]).run()
    assert result.done[0][0] - result.taken[0] == 1 + 2 + SoftmaxUnit.done_cycles(ODD)


def test_latencies():
    assert {config.name: SoftmaxUnit.done_cycles(config) for config in SIZES} == {
        "tiny": 44,
        "small": 43,
        "odd": 44,
        "narrow": 43,
    }
