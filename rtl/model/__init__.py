"""The integer model: architecture, weights, tables and scales, as one file holds them."""

from rtl.model.model import IntegerModel, repack
from rtl.model.parts import Block, HeadScales, Linear, Norm, Pool, Preprocessing

__all__ = [
    "Block",
    "HeadScales",
    "IntegerModel",
    "Linear",
    "Norm",
    "Pool",
    "Preprocessing",
    "repack",
]
