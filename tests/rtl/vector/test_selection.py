"""Selection of tokens in the softmax unit: importance, threshold, places, and their cycles."""

import random
from dataclasses import replace

import pytest

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


@pytest.mark.parametrize("write", [0.0, 0.6])
@pytest.mark.parametrize("engine", ENGINES, ids=NAMES)
def test_heads_and_a_selection(engine, write):
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
    run(engine, cases, refuse_write=write)
