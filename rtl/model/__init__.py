"""The integer model: architecture, weights, tables and scales, as one file holds them.

- :mod:`rtl.model.numerics`: constants and tables that all interpreters share
- :mod:`rtl.model.model`: the model, which checks itself; :mod:`rtl.model.parts`,
  :mod:`rtl.model.block`, and :mod:`boards.host.preprocessing`: its parts
- :mod:`rtl.model.features`: tokens as the output, and what a host makes of them
- :mod:`rtl.model.shape`: its sizes alone, without weights; :mod:`rtl.model.keep`: the patches that
  stay behind its blocks
- :mod:`rtl.model.file`: the file; :mod:`rtl.model.fields`: its JSON header, key by key;
  :mod:`rtl.model.decode`: both to a model
- :mod:`rtl.model.dyadic`: real scales as multiplier and shift
"""

from boards.host.preprocessing import Preprocessing
from rtl.model.block import Block
from rtl.model.features import Features, HostNetwork
from rtl.model.model import IntegerModel, repack
from rtl.model.parts import Classifier, Front, HeadScales, Linear, Norm, Pool

__all__ = [
    "Block",
    "Classifier",
    "Features",
    "Front",
    "HeadScales",
    "HostNetwork",
    "IntegerModel",
    "Linear",
    "Norm",
    "Pool",
    "Preprocessing",
    "repack",
]
