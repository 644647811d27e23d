"""Small and odd engines for unit tests."""

from dataclasses import replace

from rtl.config import TINY

SMALL = replace(TINY, name="small", token_lanes=2, row_lanes=4, depth_lanes=4, act_bits=4)
ODD = replace(TINY, name="odd", token_lanes=6, row_lanes=16, depth_lanes=16, act_bits=8)
SIZES = (TINY, SMALL, ODD)
