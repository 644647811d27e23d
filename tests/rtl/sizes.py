"""Small and odd engines for unit tests."""

from dataclasses import replace

from rtl.config import TINY, ULX3S

SMALL = replace(
    TINY,
    name="small",
    token_lanes=2,
    row_lanes=4,
    depth_lanes=4,
    act_bits=4,
    score_slots=4,
    memory_bytes=8,
)
ODD = replace(
    TINY, name="odd", token_lanes=6, row_lanes=16, depth_lanes=16, act_bits=8, score_slots=3
)
NARROW = replace(TINY, name="narrow", depth_lanes=4, softmax_parts=4, norm_parts=2)
HALVES = replace(
    ULX3S,
    name="halves",
    token_lanes=4,
    row_lanes=8,
    weight_words=512,
    softmax_parts=2,
    norm_parts=2,
    memory_bytes=16,
)
"""Of 4 x 8 x 4 lanes, with words in two parts."""
SIZES = (TINY, SMALL, ODD, NARROW)
