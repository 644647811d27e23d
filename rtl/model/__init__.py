"""The integer model: architecture, weights, tables and scales, as one file holds them.

- :mod:`rtl.model.numerics`: constants and tables that all interpreters share
- :mod:`rtl.model.model`: the model, which checks itself; :mod:`rtl.model.parts`: its parts
- :mod:`rtl.model.shape`: its sizes alone, without weights
- :mod:`rtl.model.file`: the file; :mod:`rtl.model.fields`: its JSON header, key by key
- :mod:`rtl.model.dyadic`: real scales as multiplier and shift
- :mod:`rtl.model.checks`: checks that name the value and the limit
"""

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
