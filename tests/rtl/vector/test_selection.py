"""Selection of tokens in the softmax unit: importance, threshold, places, and their cycles."""

import random
from dataclasses import replace

import numpy as np
import pytest

from rtl.vector.importance import ImportanceRows
from rtl.vector.selection import TokenSelection
from rtl.vector.softmax import SoftmaxUnit
from tests.rtl.sizes import HALVES, NARROW, ODD, SMALL, TINY
from tests.rtl.vector.selection_bench import (
    SelectionBench,
    check_selection,
    important_case,
    select_case,
)
from tests.rtl.vector.softmax_bench import make_case

ENGINES = [replace(engine, select_tokens=256) for engine in (TINY, SMALL, ODD, NARROW, HALVES)]
WIDE = replace(TINY, name="wide", row_lanes=64, depth_lanes=16, memory_bytes=64, select_tokens=1024)
NAMES = [engine.name for engine in ENGINES]


def run(engine, cases, **options):
    """Simulate and check; returns the bench."""
    bench = SelectionBench(engine, cases, **options)
    bench.run()
    check_selection(engine, cases, bench)
    return bench


def keys_of(engine, keys):
    return {"keys": keys, "key_words": -(-keys // engine.row_lanes)}


@pytest.mark.parametrize("engine", ENGINES, ids=NAMES)
def test_heads_and_a_selection(engine):
    """Three heads among other instructions; then the next block's, over fewer tokens."""
    rng, cases, number = random.Random(engine.name), [], 0
    for patches, keep in ((21, 9), (9, 4)):
        for head in range(3):
            size = keys_of(engine, patches + 2)
            cases.append(important_case(engine, rng, number, head == 0, **size))
            cases.append(make_case(engine, rng, number + 1))
            number += 2
        cases += [select_case(number, patches, keep, 2), make_case(engine, rng, number + 1)]
        number += 2
    run(engine, cases, refuse_write=0.4)


def selection_ends(engine, bench, row, select):
    """The cycle in which the only selection must be over, by the promises of its parts."""
    landed = SoftmaxUnit.landed_cycles(engine)
    o = row.operands
    beats = o["lane_count"] * o["key_words"] * engine.softmax_parts
    taken = bench.result.taken
    row_landed = taken[0] + o["lane_first"] // 4 + beats + landed
    added = row_landed + ImportanceRows.cycles(engine, o["keys"])
    select_landed = taken[1] + 1 + landed
    begins = max(added, select_landed) + 1
    o = select.operands
    return begins + TokenSelection.cycles(engine, o["patches"], o["others"])


@pytest.mark.parametrize("patches, keep, others", [(200, 141, 1), (256, 256, 1), (1, 1, 20)])
def test_a_selection_ends_when_it_is_said_to(patches, keep, others):
    """However long the row is; unflagged instructions go on beside it, the next SELECT waits."""
    engine, rng = ENGINES[0], random.Random(patches)
    size = {"keys": patches + others, "key_words": -(-(patches + others) // engine.row_lanes)}
    row = important_case(engine, rng, 0, True, lane_first=3, lane_count=1, **size)
    select = select_case(1, patches, keep, others)
    cases = [row, select, make_case(engine, rng, 2), select_case(3, 1, 1, others)]
    bench = run(engine, cases)
    taken, selecting = bench.result.taken, bench.selected.selecting
    ends = selection_ends(engine, bench, row, select)
    assert selecting[: ends - taken[1] - 1] == list(range(taken[1] + 1, ends))
    assert taken[3] == ends  # refused until then
    assert taken[2] < ends


def test_196_patches_take_less_than_400_cycles():
    """From the last beat of the last head's class row, on an engine of 32 row lanes."""
    engine = replace(TINY, row_lanes=32, depth_lanes=16, memory_bytes=64, select_tokens=256)
    added = SoftmaxUnit.landed_cycles(engine) + ImportanceRows.cycles(engine, 197)
    assert added + TokenSelection.cycles(engine, 196, 1) <= 400


def test_scores_behind_the_memory_have_no_importance():
    """Of 259 keys on an engine for 256 the last ones are left out: they are no patches."""
    engine, rng = ENGINES[1], random.Random(4)
    size = {"keys": 259, "key_words": 65, "lane_first": 0, "lane_count": 1}
    cases = [important_case(engine, rng, 0, True, **size), select_case(1, 256, 100, 3)]
    bench = run(engine, cases)
    assert len(bench.selected.sums) == 64


def test_a_third_row_waits_for_the_first():
    """Two rows may be under way; of rows of one beat, a third comes too early."""
    engine, rng = ENGINES[0], random.Random(6)
    short = {"keys": 9, "key_words": 1, "lane_first": 0, "lane_count": 1}
    cases = [important_case(engine, rng, number, number == 0, **short) for number in range(4)]
    cases.append(select_case(4, 8, 3, 1))
    taken = run(engine, cases).result.taken
    assert taken[1] == taken[0] + 2 and taken[2] > taken[1] + 40


def test_reset_in_mid_selection():
    """Nothing of what was under way is left."""
    engine, rng = ENGINES[0], random.Random(9)
    size = {"keys": 40, "key_words": 3, "lane_first": 1, "lane_count": 2}
    cases = [important_case(engine, rng, 0, True, **size), select_case(1, 39, 20, 1)]
    run(engine, cases, reset_at=130)


def test_the_widest_engine():
    """64 row lanes, 1,024 patches: a row of many words, some of them equal."""
    rng = random.Random(2)
    size = {"keys": 300, "key_words": 5, "lane_first": 1, "lane_count": 1}
    cases = [important_case(WIDE, rng, 0, True, **size), select_case(1, 299, 150, 1)]
    run(WIDE, cases)


def test_ties_everywhere():
    """A blank image: all scores are the same, the first patches stay, one, some or all."""
    engine, rng = ENGINES[0], random.Random(1)
    case = important_case(engine, rng, 0, True, keys=31, key_words=2, lane_first=0, lane_count=2)
    case.scores[:] = 12
    keeps = 1, 5, 30
    selects = [select_case(number, 30, keep, 1) for number, keep in enumerate(keeps, 1)]
    bench = run(engine, [case, *selects])
    for number, keep in enumerate(keeps, 1):
        kept = [place.kept for _, own, _, place, _ in bench.selected.places if own == number]
        expected = np.zeros(32, int)
        expected[[*range(keep), 30]] = 1
        assert kept == [int(a + 2 * b) for a, b in expected.reshape(-1, 2)]
