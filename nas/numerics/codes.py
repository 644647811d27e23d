"""Ranges of codes, rounding, table look-up: the base of all operations."""

import torch
from torch import Tensor

from rtl.model import numerics

INT8 = numerics.code_range(8, signed=True)
INT16 = numerics.code_range(16, signed=True)


def round_half_up(x: Tensor) -> Tensor:
    """``floor(x + 1/2)``, the only rounding there is; ``torch.round`` goes to even."""
    return torch.floor(x + 0.5)


def look_up(table: Tensor, index: Tensor) -> Tensor:
    """``table[index]``, index of any type: several times faster than ``take`` on a CPU."""
    return table.index_select(0, index.int().flatten()).view(index.shape)
