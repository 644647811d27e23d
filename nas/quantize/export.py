"""From a folded network, its codes and its rounded weights to the integer model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas.importer.forward import gelu
from nas.importer.network import FloatBlock, FloatNetwork
from nas.numerics.codes import round_half_up
from nas.numerics.dyadic import dyadic
from nas.quantize.codes import BlockCodes, Code, NetworkCodes


@dataclass(frozen=True, eq=False)
class Rows:
    """A matrix in integers: real weight of an input *code* = ``codes * step``.

    Parameters
    ----------
    codes : (rows, depth) float32
        Integers of 4 or 8 bits.
    bits : (rows,) int64
    step : (rows,) float64
    """

    codes: Tensor
    bits: Tensor
    step: Tensor
