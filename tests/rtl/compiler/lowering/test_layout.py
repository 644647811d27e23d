"""Addresses by rule: tensors of a token tile, groups of heads, slots."""

from dataclasses import replace
from itertools import combinations

import pytest

from rtl.compiler import plan
from rtl.compiler.lowering.layout import (
    AttentionLayout,
    LogitPlaces,
    head_input,
    norm_output,
    pool_weights,
)
from rtl.compiler.operations import MemorySpace, Span
from rtl.config import TINY
from tests.rtl.compiler.lowering.shapes import SHAPE


def overlap(a, b):
    return a.space is b.space and a.start < b.stop and b.start < a.stop


def test_activations_of_a_block_lie_apart():
    """48 channels are 3 words, 3 heads of 32 dimensions 6 words; 7 tokens a word of weights."""
    planned = plan(SHAPE, TINY)
    layout = AttentionLayout(planned, 0)
    tiles = planned.all_tiles
    spans = [norm_output(planned, tile) for tile in tiles]
    spans += [layout.queries(tile) for tile in tiles] + layout.weights
    assert spans == [
        Span(MemorySpace.ACTIVATIONS, 2 * first, 2 * stop)
        for first, stop in [(0, 3), (3, 6), (6, 12), (12, 18), (18, 19), (19, 20)]
    ]
    assert layout.head_queries(tiles[1], 2) == Span(MemorySpace.ACTIVATIONS, 32, 36)


@pytest.mark.parametrize(
    "words, resident, starts", [(TINY.key_words, 2, [0, 2, 0]), (3, 1, [0, 0, 0])]
)
def test_groups_of_heads_take_turns_in_the_banks(words, resident, starts):
    layout = AttentionLayout(plan(SHAPE, replace(TINY, key_words=words, value_words=words)), 0)
    assert (layout.groups, layout.resident_groups) == (3, resident)
    assert [list(layout.heads_of(group)) for group in range(3)] == [[0], [1], [2]]
    assert layout.row_tiles == [range(2), range(2, 4), range(4, 6)]
    assert [keys.start for keys in layout.keys] == starts
    assert [values.start for values in layout.values] == starts


def test_slots_lie_apart_unless_scores_lack_the_words():
    planned = plan(SHAPE, replace(TINY, score_slots=4))
    layout = AttentionLayout(planned, 0)
    for spans in (layout.scores, layout.weights, layout.maxima, layout.scales):
        assert len(spans) == 4
        assert not any(overlap(a, b) for a, b in combinations(spans, 2))
    few = plan(SHAPE, replace(TINY, score_slots=4, score_words=planned.score_slot_words(0) * 2))
    assert [scores.start for scores in AttentionLayout(few, 0).scores] == [0, 1, 0, 1]


def test_the_head_works_on_the_class_token_or_on_the_mean():
    planned, mean = plan(SHAPE, TINY), plan(replace(SHAPE, mean_pool=True), TINY)
    assert head_input(planned) == norm_output(planned, planned.head_tile)
    weights = pool_weights(mean)
    assert weights.start == norm_output(mean, mean.all_tiles[-1]).stop
    assert head_input(mean).start == weights.stop


def places(classes, residual_words=TINY.residual_words):
    """Addresses of the parts of the logits, and the sizes of the parts."""
    flags = (False,) * (classes // SHAPE.row_granularity)
    shape = replace(SHAPE, classes=classes, head_bits8=flags)
    planned = plan(shape, replace(TINY, residual_words=residual_words))
    found = LogitPlaces(planned)
    addresses = [found.address(part) for part in range(len(planned.logit_parts))]
    return addresses, [part.count for part in planned.logit_parts], found


def test_logits_lie_behind_the_residual_stream_or_over_it():
    stream = Span(MemorySpace.RESIDUAL, 0, 7)  # tokens
    behind, over = Span(MemorySpace.RESIDUAL, 7, 8), places(16, residual_words=6)
    addresses, _, found = places(16)
    assert addresses == [6] and found.written(0) == found.stored(0) == (behind,)
    addresses, _, found = over
    assert addresses == [5] and found.written(0) == found.stored(0) == (stream, behind)


def test_logits_that_one_store_cannot_hold_are_in_parts():
    """300 words: a STORE takes 255 at most, and a part's place is as large as the largest part."""
    addresses, sizes, found = places(300 * 16)
    assert (addresses, sizes, found.stop) == ([6, 156], [150, 150], 306)
    addresses, sizes, found = places(300 * 16, residual_words=200)  # one place, in turn
    assert (addresses, sizes, found.stop) == ([6, 6], [150, 150], 156)
    addresses, sizes, found = places(300 * 16, residual_words=150)  # over tokens
    assert (addresses, sizes) == ([0, 0], [150, 150])
    assert len(found.written(0)) == 2 and len(found.stored(0)) == 1 and len(found.stored(1)) == 2
    addresses, sizes, _ = places(61 * 16, residual_words=30)  # the scratchpad alone is too small
    assert (addresses, sizes) == ([6, 6, 6], [20, 20, 21])
