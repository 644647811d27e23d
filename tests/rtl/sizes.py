"""Small and odd engines for unit tests."""

from dataclasses import replace

from rtl.config import TINY

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
SIZES = (TINY, SMALL, ODD, NARROW)
